#pragma once
/// \file
/// What is written down about an instance: `instance.json`, durable, before its first effect;
/// `run.json`, in the run directory, after each step of its life. Together with /proc they are all
/// that an observation needs.

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "deploy/plan/model/model.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::deploy::runtime {

using plan::Address;
using plan::ExitInfo;
using plan::InstanceId;
using plan::InstanceState;
using plan::ObservedInstance;

/// What the kernel is asked to enforce. pids: 2048 where the document is silent
/// (packaging/doc/security.md 3.1).
struct Limits {
  std::optional<std::uint64_t> memory_bytes;
  std::optional<std::uint32_t> millicpus;
  std::uint32_t pids = 2048;
  bool operator==(const Limits&) const = default;
};

/// Who a file belongs to.
struct FileOwner {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  bool operator==(const FileOwner&) const = default;
};

/// A config as it was written for an instance; the place in its list is its number.
struct PlacedConfig {
  std::string target;
  proto::Digest digest;
  proto::FileMode mode = 0444;
  FileOwner owner{};
  bool operator==(const PlacedConfig&) const = default;
};

struct InstanceRecord {
  plan::InstanceId id;
  std::string boot_id;  ///< when it was created
  proto::ServiceName service;
  std::uint64_t generation = 0;
  proto::Digest run_hash;
  proto::Digest image;
  proto::Digest manifest;
  proto::NetworkMode network = proto::NetworkMode::isolated;
  Limits limits;
  int stop_signal = 15;
  Milliseconds stop_timeout{10'000};
  std::vector<proto::SecretRef> secrets;
  std::vector<std::string> allowed_secret_paths{};  ///< of agent.yaml, when it was created
  proto::NameRule names{};
  /// Profile, read-only root and filter only: what advice after a failure needs to know.
  proto::Security security;
  std::map<std::string, proto::FileMode> tmpfs_modes{};  ///< by path, where the document names one
  std::map<std::string, std::string> secret_env{};  ///< variable → the secret it is taken from
};

enum class Phase : std::uint8_t {
  preparing,  ///< no process yet, or a restart has begun
  created,    ///< the runtime's init waits; nothing of the service has run in this start
  started,
};

/// Names one process for ever (within one boot).
struct ProcessId {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;
  bool operator==(const ProcessId&) const = default;
};

struct RunState {
  std::string boot_id;
  Phase phase = Phase::preparing;
  plan::Address address = 0;
  std::string netns;  ///< empty: the host's, or one of the runtime's own
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  ProcessId init;
  ProcessId conmon;
  ProcessId log_writer;  ///< none: of an agent whose conmon wrote the file itself
  std::uint32_t starts = 0;
  std::int64_t started_wall_ms = 0;
  std::int64_t started_boot_ns = 0;
  std::vector<PlacedConfig> configs{};
  std::map<std::string, FileOwner> secret_owners{};  ///< by secret, where the document names one
  std::optional<plan::ExitInfo> last_exit;  ///< of the process before a restart that has begun
};

[[nodiscard]] std::string to_json(const InstanceRecord& record);
/// Errors: io, when the text is not a record of this or an earlier version.
[[nodiscard]] Result<InstanceRecord> parse_record(const std::string& json);
[[nodiscard]] std::string to_json(const RunState& state);
[[nodiscard]] Result<RunState> parse_run_state(const std::string& json);

/// The current boot's id, from /proc. Read once.
[[nodiscard]] const std::string& boot_id();

/// True while exactly this process exists and has not become a zombie.
[[nodiscard]] bool alive(const ProcessId& process);
/// Pid and start time of a living process. Errors: not_found.
[[nodiscard]] Result<ProcessId> identify(pid_t pid);

}  // namespace holdfast::deploy::runtime
