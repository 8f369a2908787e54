#pragma once
/// \file
/// One thread that sees what others do to running instances, where the kernel tells: writes to
/// their control groups, kills for memory, mounts inside, and files of their secrets and configs.

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"
#include "deploy/runtime/host/cgroup.hpp"
#include "deploy/runtime/observe/inspection_depth.hpp"

namespace holdfast::deploy::runtime {

/// What to watch of one instance.
struct WatchedPlaces {
  pid_t init = 0;
  std::string group;            ///< control group
  std::set<std::string> files;  ///< of secrets, and those that configs are bound from
  std::string netns;            ///< where its namespace is pinned; empty: nowhere
};

/// Reports soon (≤ 5 ms) after each change; several at once may be one report. Thread safe. The
/// destructor joins. A file system that tells nothing (a network one) is looked at by the resync.
class ChangeWatcher {
 public:
  using Callback = std::function<void(const plan::InstanceId&, Change)>;

  [[nodiscard]] static Result<std::unique_ptr<ChangeWatcher>> start(const Cgroups& cgroups,
                                                                    const Clock& clock,
                                                                    Callback on_change);
  ~ChangeWatcher();
  ChangeWatcher(const ChangeWatcher&) = delete;
  ChangeWatcher& operator=(const ChangeWatcher&) = delete;

  /// Replaces what was watched for this instance. What cannot be watched is left to the resync.
  void watch(const plan::InstanceId& id, const WatchedPlaces& places);
  void forget(const plan::InstanceId& id);
  /// The agent itself freezes or thaws it now: that is no news. Waits for nothing.
  void expect_freezer(const plan::InstanceId& id);

 private:
  struct Watched {
    os::UniqueFd mounts;  ///< /proc/PID/mountinfo
    os::UniqueFd oom;     ///< eventfd of cgroup v1
    std::string netns;
    std::set<std::string> files;
    std::uint64_t netns_inode = 0;
    BootTime last_memory{};  ///< report of memory.events, which may come in floods
  };
  /// Who hears of a directory. A group belongs to one instance, secrets may be shared.
  struct Directory {
    bool is_group = false;
    std::set<plan::InstanceId> instances;
    /// Of a directory above secrets: the entries that lead to one.
    std::set<std::string, std::less<>> names{};
  };
  using Reports = std::set<std::pair<plan::InstanceId, Change>>;
  ChangeWatcher(const Cgroups& cgroups, const Clock& clock, Callback on_change)
      : cgroups_(cgroups), clock_(clock), on_change_(std::move(on_change)) {}

  [[nodiscard]] Status open();
  [[nodiscard]] bool is_quiet(const plan::InstanceId& id);
  void add_group(const std::string& path, const plan::InstanceId& id);
  void add_way_to(const std::string& secret, const plan::InstanceId& id);
  void watch_again(const Reports& reports);
  void forget_locked(const plan::InstanceId& id);
  void loop(const std::stop_token& stop);
  void read_inotify(Reports& reports);
  void group_changed(const plan::InstanceId& id, std::string_view file, Reports& reports);
  void fd_ready(int fd, Reports& reports);

  const Cgroups& cgroups_;
  const Clock& clock_;
  const Callback on_change_;
  os::UniqueFd epoll_;
  os::UniqueFd inotify_;
  os::UniqueFd own_mounts_;  ///< of the agent: where namespaces are pinned
  os::UniqueFd wake_;
  std::mutex quiet_mutex_;  ///< held for one entry; never while a file is looked for
  std::map<plan::InstanceId, BootTime> quiet_until_;  ///< for the freezer
  std::mutex mutex_;                                  ///< held while files of others are looked for
  std::map<plan::InstanceId, Watched> watched_;
  std::map<int, Directory> directories_;  ///< by inotify's watch descriptor
  std::jthread thread_;
};

}  // namespace holdfast::deploy::runtime
