#pragma once
/// \file
/// Instances as containers: an OCI runtime under conmon, both from the distribution.

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/base/strong.hpp"
#include "deploy/network/port/attachments.hpp"
#include "deploy/runtime/exec_sessions.hpp"
#include "deploy/runtime/host/host.hpp"
#include "deploy/runtime/instances.hpp"
#include "deploy/runtime/observe/change_watcher.hpp"
#include "deploy/runtime/observe/exit_watcher.hpp"
#include "deploy/runtime/observe/observer.hpp"
#include "deploy/runtime/observe/workload_usage.hpp"
#include "proto/config/agent_config.hpp"

namespace holdfast::deploy::runtime {

struct RuntimeOptions {
  std::filesystem::path state_dir;
  std::filesystem::path run_dir;  ///< on a tmpfs, so that a reboot empties it
  std::string instance = "main";  ///< of the agent: names the parent of all control groups
  proto::RuntimeChoice runtime = proto::RuntimeChoice::automatic;
  std::filesystem::path log_writer;      ///< holdfast-log
  std::filesystem::path exec_session{};  ///< holdfast-exec
  plan::Address gateway = 0;             ///< of the instances' network
  Bytes log_max_size{10U << 20};         ///< of one file; two are kept
  std::vector<std::string>
      own_places{};  ///< no service's, nor are these directories: proto::own_places
};

/// Adopts whatever an earlier life of the agent left in the same directories: nothing is restarted
/// for it.
class ContainerRuntime final : public Instances, public InstanceControl {
 public:
  /// Probes the host once. `clock` and `attachments` outlive the object.
  /// Errors: runtime, conmon (what to install or to change), io.
  [[nodiscard]] static Result<std::unique_ptr<ContainerRuntime>> open(
      const RuntimeOptions& options, const Clock& clock, network::Attachments& attachments);
  ~ContainerRuntime() override = default;

  Result<std::vector<ObservedInstance>> observe(InspectionDepth depth) override;
  Status create(const InstanceSpec& spec, const std::stop_token& stop) override;
  Status restart(const InstanceId& id, const std::stop_token& stop) override;
  Result<StopOutcome> stop(const InstanceId& id, const proto::StopRule& rule,
                           const std::stop_token& stop) override;
  Status remove(const InstanceId& id, const std::stop_token& stop) override;

  Status freeze(const InstanceId& id, const std::stop_token& spare) override;
  Status thaw(const InstanceId& id) override;
  Result<std::uint32_t> reset_connections(const InstanceId& id,
                                          const std::stop_token& spare) override;
  Result<ExecResult> exec(const InstanceId& id, const std::vector<std::string>& command,
                          Milliseconds timeout, const std::stop_token& stop) override;
  std::optional<SdNotifyState> sd_notify_state(const InstanceId& id) override;
  Status set_hosts(const HostsTable& hosts) override;
  Status enforce(const InstanceId& id) override;
  Status expel(const InstanceId& id) override;
  void watch(std::function<void(const InstanceId&, Change)> on_change) override;

  /// Commands of operators; they end before their instance is stopped, frozen or removed.
  [[nodiscard]] ExecSessions& exec_sessions() { return sessions_; }

  /// Starts writers of logs that were killed, counts what was dropped, deletes old logs. For every
  /// resync; ≤ 1 ms when there is nothing to do.
  Status maintain_logs();
  /// Rewrites /etc/resolv.conf of every instance in place where the host's has changed. For every
  /// resync.
  Status follow_names();
  /// Whether the host names a server that containers reach: as `follow_names`, or the opening,
  /// found last. Quick.
  [[nodiscard]] bool has_name_server() const { return has_name_server_; }
  /// Whether limits, devices and init of a service can be had here; the init as `follow_host`, or
  /// the opening, found last. Quick. Errors: host.
  [[nodiscard]] Status host_gives(const proto::Service& wanted) const;
  /// Deletes kept content of configs that `in_use` does not name; what is young stays. Blocks.
  void forget_configs(const std::set<proto::Digest>& in_use);
  /// Writes records of running instances again that were damaged or lost on the disk, and says so.
  /// For every resync. Blocks for a flush for each of them.
  Status mend_records();
  /// Looks for what may have been installed since. For every resync; < 1 ms.
  void follow_host();
  /// Bytes of a service's output that its bound has taken away since this agent began, by service.
  /// As `maintain_logs` found last.
  [[nodiscard]] std::map<std::string, std::uint64_t> dropped_log_bytes();

  /// What every service of `declared`, or with an instance, uses. Reads some ten files an instance
  /// for 250 ms at most; of whom it does not get to, the last look stands, and the next look begins
  /// with them. Blocks; not for the engine's thread.
  [[nodiscard]] std::map<std::string, WorkloadUsage> workload_usage(
      const std::set<std::string>& declared);

  /// The last lines an instance wrote, oldest first, printable; for the report of a failure. Reads
  /// at most 64 KiB of them, and waits for at most 300 ms for what is still on its way. Blocks.
  /// Errors: not_found.
  Result<std::vector<std::string>> last_lines(const InstanceId& id, std::size_t count) const;

  /// The last `count` lines with what they and its exit most likely mean (advice.hpp); nothing for
  /// an instance that is unknown. Reads as little as `last_lines`. Blocks.
  [[nodiscard]] LastWords last_words(const InstanceId& id, std::size_t count) const;

  /// "runc 1.1.5, conmon version 2.1.6", for `doctor` and the log.
  [[nodiscard]] std::string description() const {
    return host_.runtime.version() + ", " + conmon_version_;
  }

 private:
  /// Serialises the calls for one instance and shows which are in progress.
  class Turn {
   public:
    Turn(ContainerRuntime& runtime, const InstanceId& id);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    ContainerRuntime& runtime_;
    InstanceId id_;
  };

  ContainerRuntime(Host host, std::string conmon_version)
      : host_(std::move(host)),
        conmon_version_(std::move(conmon_version)),
        sessions_(host_),
        opened_(host_.clock.boot()),
        observer_(host_) {}

  [[nodiscard]] std::set<InstanceId> in_progress();
  void note_name_server(bool there);
  Status revive_log_writer(const InstanceId& id);
  void await_last_lines(const InstanceId& id) const;
  void count_dropped(const InstanceId& id, const std::string& service);
  void arm(const InstanceId& id);
  void disarm(const InstanceId& id);
  void expect_freezer(const InstanceId& id);

  const Host host_;
  const std::string conmon_version_;
  ExecSessions sessions_;
  const BootTime opened_;
  Observer observer_;
  std::mutex turns_mutex_;
  std::condition_variable turns_changed_;
  std::set<InstanceId> turns_;
  std::mutex hosts_mutex_;
  std::atomic<bool> has_name_server_{true};
  std::atomic<bool> has_init_{true};
  std::mutex usage_mutex_;
  WorkloadUsages usages_;
  InstanceId usage_read_;  ///< the last one that the look before got to
  std::mutex logs_mutex_;
  std::map<InstanceId, std::uint64_t> dropped_;  ///< as last read
  std::map<std::string, std::uint64_t> dropped_of_service_;
  /// Held while the way to files of others is watched, on whatever file system they lie: by jobs,
  /// and before the engine runs.
  std::mutex arming_mutex_;
  std::unique_ptr<ExitWatcher> exits_;
  std::unique_ptr<ChangeWatcher> changes_;
  /// The same for who must not wait; null until they watch, then never changed.
  std::atomic<const ExitWatcher*> watching_exits_{nullptr};
  std::atomic<ChangeWatcher*> watching_changes_{nullptr};
};

}  // namespace holdfast::deploy::runtime
