#pragma once
/// \file
/// The notify sockets of instances: datagram sockets of the agent, bound in the instance's run
/// directory, which the container sees read-only as /run/notify. conmon's own forwarding passes
/// READY=1 on and drops the rest (packaging/doc/security.md 3.6).

#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "common/base/clock.hpp"
#include "common/os/unique_fd.hpp"
#include "deploy/runtime/record/paths.hpp"
#include "deploy/runtime/record/sd_notify_state.hpp"

namespace holdfast::deploy::runtime {

/// Thread safe. One thread reads all sockets, and lives only while there are any. What a service
/// sends while no agent runs is lost to it (it gets ECONNREFUSED); that it was ready is kept in a
/// file, so an agent that comes back knows.
class NotifyListener {
 public:
  NotifyListener(Paths paths, const Clock& clock) : paths_(std::move(paths)), clock_(clock) {}
  ~NotifyListener();
  NotifyListener(const NotifyListener&) = delete;
  NotifyListener& operator=(const NotifyListener&) = delete;

  /// Binds the socket of an instance whose bundle directory exists. Safe to repeat. Errors: io.
  [[nodiscard]] Status listen(const plan::InstanceId& id);
  /// Again for every instance that had one when an earlier agent ended.
  void adopt();
  /// The instance gets a new process: nothing said so far is about it.
  void reset(const plan::InstanceId& id);
  /// Time in the freezer is no silence.
  void thawed(const plan::InstanceId& id);
  void forget(const plan::InstanceId& id);
  /// What it said; none without a socket.
  [[nodiscard]] std::optional<SdNotifyState> state(const plan::InstanceId& id);

 private:
  struct Entry {
    os::UniqueFd socket;
    SdNotifyState said;
  };
  [[nodiscard]] Status start_thread();
  [[nodiscard]] Status add(const plan::InstanceId& id, os::UniqueFd socket);
  bool drain(const plan::InstanceId& id, Entry& entry);
  void loop(const std::stop_token& stop);

  const Paths paths_;
  const Clock& clock_;
  std::mutex mutex_;
  std::map<plan::InstanceId, Entry> entries_;
  os::UniqueFd epoll_;
  os::UniqueFd wake_;
  std::jthread thread_;
};

}  // namespace holdfast::deploy::runtime
