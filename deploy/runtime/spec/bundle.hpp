#pragma once
/// \file
/// config.json of the OCI runtime (runtime-spec 1.0.2) with the hardened defaults of
/// packaging/doc/security.md 3.1. Pure.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "deploy/runtime/record/record.hpp"
#include "deploy/runtime/spec/capabilities.hpp"
#include "deploy/runtime/spec/confinement.hpp"
#include "deploy/runtime/spec/seccomp.hpp"
#include "deploy/runtime/spec/user.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::deploy::runtime {

struct BundleMount {
  std::string destination;
  std::string type;  ///< "bind", "tmpfs", …
  std::string source;
  std::vector<std::string> options;
  bool operator==(const BundleMount&) const = default;
};

/// What the host can do, probed once.
struct HostFacts {
  std::uint64_t nofile_hard = 1024;  ///< the most that may be asked for here
  int oom_score_adj = 0;             ///< of containers; never below what this process may set
  bool cgroup_namespace = false;     ///< unified hierarchy
};
[[nodiscard]] HostFacts probe_host();

struct ProcessSpec {
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string cwd = "/";
  User user;
  Capabilities capabilities;
  bool no_new_privileges = true;
};

struct BundleSpec {
  ProcessSpec process;
  std::string hostname;
  std::filesystem::path rootfs;
  bool read_only = true;
  std::vector<BundleMount>
      mounts;  ///< those of the service, in mount order, after the standard ones
  proto::NetworkMode network = proto::NetworkMode::isolated;
  std::string netns;  ///< path, where isolated
  Limits limits;
  std::string cgroup;  ///< "/holdfast-main/web-…"
  std::optional<SeccompProfile> seccomp;
  HostFacts host;
};

/// Labels of the image never become annotations: runtimes act on some (R-3.1, T-12).
[[nodiscard]] std::string config_json(const BundleSpec& spec);

/// process.json for `exec`, from the config.json of the instance with other arguments: same numeric
/// user, environment, capabilities (T-56). Errors: io.
[[nodiscard]] Result<std::string> exec_process_json(const std::string& config,
                                                    const std::vector<std::string>& args);

/// What such a config.json asks for, to be compared with /proc. Errors: io.
[[nodiscard]] Result<Confinement> confinement_of(const std::string& config);

/// /proc, /dev and the rest that every container has (packaging/doc/security.md 3.1).
[[nodiscard]] std::vector<BundleMount> standard_mounts();

/// cgroup v1 and v2 both take a quota for a period of 100 ms.
inline constexpr std::uint64_t kCpuPeriodUs = 100'000;

}  // namespace holdfast::deploy::runtime
