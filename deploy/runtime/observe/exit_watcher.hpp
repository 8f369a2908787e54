#pragma once
/// \file
/// One thread that sees processes end: pidfds of containers and conmons, and conmon's exit files.

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"
#include "deploy/runtime/record/paths.hpp"
#include "deploy/runtime/record/record.hpp"

namespace holdfast::deploy::runtime {

/// Reports once for each watched process that its instance needs a look: the exit file is there, or
/// its conmon ended 15 ms ago without one, or 2 s have passed in which a conmon that lives wrote
/// none. Thread safe.
/// The destructor joins.
class ExitWatcher {
 public:
  using Callback = std::function<void(const plan::InstanceId&)>;

  [[nodiscard]] static Result<std::unique_ptr<ExitWatcher>> start(const Paths& paths,
                                                                  const Clock& clock,
                                                                  Callback on_exit);
  ~ExitWatcher();
  ExitWatcher(const ExitWatcher&) = delete;
  ExitWatcher& operator=(const ExitWatcher&) = delete;

  /// Replaces what was watched for this instance. A process that is already gone is reported.
  void watch(const plan::InstanceId& id, const ProcessId& init, const ProcessId& conmon);
  void forget(const plan::InstanceId& id);
  /// Both processes are watched, and no end of one was reported: what is known of an instance
  /// changes when it is, so that its exit code is known with its end. No system call, where /proc
  /// takes six.
  [[nodiscard]] bool runs(const plan::InstanceId& id, const ProcessId& init,
                          const ProcessId& conmon) const;

 private:
  struct Watched {
    std::pair<ProcessId, ProcessId> processes;  ///< init and conmon
    os::UniqueFd init;
    os::UniqueFd conmon;
    std::optional<BootTime> report_by;  ///< set once the process has ended
  };
  ExitWatcher(const Paths& paths, const Clock& clock, Callback on_exit)
      : paths_(paths), clock_(clock), on_exit_(std::move(on_exit)) {}

  [[nodiscard]] Status open();
  void loop(const std::stop_token& stop);
  [[nodiscard]] int wait_ms();
  void handle(int fd);
  void drain_exit_files();
  [[nodiscard]] std::vector<plan::InstanceId> due();

  const Paths paths_;
  const Clock& clock_;
  const Callback on_exit_;
  os::UniqueFd epoll_;
  os::UniqueFd inotify_;
  os::UniqueFd wake_;
  mutable std::mutex mutex_;
  std::map<plan::InstanceId, Watched> watched_;
  std::jthread thread_;
};

}  // namespace holdfast::deploy::runtime
