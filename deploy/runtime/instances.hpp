#pragma once
/// \file
/// The ports through which the engine runs containers.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/base/strong.hpp"
#include "deploy/image/port/stored_image.hpp"
#include "deploy/plan/model/model.hpp"
#include "deploy/runtime/observe/inspection_depth.hpp"
#include "deploy/runtime/record/record.hpp"
#include "deploy/runtime/record/sd_notify_state.hpp"
#include "deploy/runtime/spec/etc_files.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::deploy::runtime {

/// Everything needed to create an instance. It is stored with the instance
/// (instances/<id>/instance.json), so that an observation after a restart of the agent knows what
/// it was created from.
struct InstanceSpec {
  InstanceId id;
  proto::ServiceName service;
  std::uint64_t generation = 0;  ///< that asked for it
  proto::Service wanted;
  image::StoredImage image;
  HostsTable hosts;
  std::vector<std::string> allowed_host_paths{};    ///< as agent.yaml has them; not stored
  std::vector<std::string> allowed_secret_paths{};  ///< as agent.yaml has them
};

/// What an instance wrote last.
struct LastWords {
  std::vector<std::string> lines;  ///< printable, oldest first
  std::string advice;  ///< what its end most likely means, as the line to add to the document;
                       ///< empty when nothing is known
  bool operator==(const LastWords&) const = default;
};

enum class StopOutcome : std::uint8_t {
  ended,   ///< of itself, or at the signal
  killed,  ///< it had to be
};

/// Life and death of instances. Thread safe; calls for one instance are serialised inside. All
/// block, honour `stop` within a second, and are safe to repeat. None runs on the engine thread
/// except `observe`.
class Instances {
 public:
  virtual ~Instances() = default;

  /// All instances of this agent, also ones left by an earlier life of it. Reads files and /proc
  /// only: < 0.2 ms an instance.
  virtual Result<std::vector<ObservedInstance>> observe(InspectionDepth depth) = 0;

  /// Namespace, network, mounts, bundle, conmon and runtime, process started. On failure everything
  /// of it is gone again. Errors: user, runtime, conmon, cni, port_in_use, nospace, io.
  virtual Status create(const InstanceSpec& spec, const std::stop_token& stop) = 0;

  /// A new process in an instance whose process has exited; same namespace, address and mounts;
  /// secrets are read again.
  virtual Status restart(const InstanceId& id, const std::stop_token& stop) = 0;

  /// The signal of `rule`, or without one that of its record, then SIGKILL after the timeout of the
  /// rule. Thaws first. An instance without a process has ended. Errors: timed_out (it outlives
  /// SIGKILL), cancelled, usage, io.
  virtual Result<StopOutcome> stop(const InstanceId& id, const proto::StopRule& rule,
                                   const std::stop_token& stop) = 0;

  /// Kills what runs and removes every trace: CNI DEL, then namespace, mounts, cgroup, bundle.
  /// Unknown id is success.
  virtual Status remove(const InstanceId& id, const std::stop_token& stop) = 0;
};

struct ExecResult {
  int code = 0;
  std::string output;  ///< first 64 KiB of stdout and stderr
};

/// What is done to a living instance. Thread safe.
class InstanceControl {
 public:
  virtual ~InstanceControl() = default;
  /// By the freezer of its control group: waits until every process stands still, as a rule for
  /// less than a millisecond, for 100 ms at most. Once `spare` is requested it runs again. Errors:
  /// cancelled (spared), timed_out.
  virtual Status freeze(const InstanceId& id, const std::stop_token& spare) = 0;
  /// At once; also fit for the engine thread.
  virtual Status thaw(const InstanceId& id) = 0;
  /// Resets the connections that others opened to it; how many. None with the network of the host.
  /// Those that are opened after `spare` is requested are left alone. About 1 ms.
  virtual Result<std::uint32_t> reset_connections(const InstanceId& id,
                                                  const std::stop_token& spare) = 0;
  /// Runs a command inside. Errors: timed_out, runtime.
  virtual Result<ExecResult> exec(const InstanceId& id, const std::vector<std::string>& command,
                                  Milliseconds timeout, const std::stop_token& stop) = 0;
  /// What it said over its notify socket; none when it has none. Quick.
  virtual std::optional<SdNotifyState> sd_notify_state(const InstanceId& id) = 0;
  /// Rewrites /etc/hosts of every instance in place; files of each, so not for the engine thread.
  virtual Status set_hosts(const HostsTable& hosts) = 0;
  /// Writes its limits into the control group again, and pins its network namespace where the pin
  /// was lost while the process lives in it. Quick; repeating it changes nothing.
  virtual Status enforce(const InstanceId& id) = 0;
  /// Kills the processes in it that are not its own (`InspectionDepth::sampled` reports them).
  /// About 1 ms per 100 processes of the host, at most 10 s.
  virtual Status expel(const InstanceId& id) = 0;
  /// Calls `on_change` from threads of its own soon (≤ 20 ms) after something changed that others
  /// may have done. Set once.
  virtual void watch(std::function<void(const InstanceId&, Change)> on_change) = 0;
};

}  // namespace holdfast::deploy::runtime
