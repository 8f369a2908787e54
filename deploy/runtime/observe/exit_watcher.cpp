#include "deploy/runtime/observe/exit_watcher.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "common/os/file.hpp"
#include "common/os/process.hpp"

namespace holdfast::deploy::runtime {
namespace {

/// After conmon ended: its file may still be on the way to us.
constexpr Milliseconds kExitFileGrace{15};
/// While conmon lives it will write down how its container ended: on a busy host after hundreds of
/// milliseconds. One that hangs is not waited for longer.
constexpr Milliseconds kConmonGrace{2'000};

/// The pidfd, or none when the process is gone.
os::UniqueFd open_process(const ProcessId& process) {
  if (process.pid <= 0) return {};
  auto fd = os::open_pidfd(process.pid);
  if (!fd || !alive(process)) return {};
  return std::move(*fd);
}

}  // namespace

Result<std::unique_ptr<ExitWatcher>> ExitWatcher::start(const Paths& paths, const Clock& clock,
                                                        Callback on_exit) {
  std::unique_ptr<ExitWatcher> watcher{new ExitWatcher{paths, clock, std::move(on_exit)}};
  HF_TRY(watcher->open());
  watcher->thread_ =
      std::jthread{[raw = watcher.get()](const std::stop_token& stop) { raw->loop(stop); }};
  return watcher;
}

ExitWatcher::~ExitWatcher() {
  thread_.request_stop();
  if (wake_) eventfd_write(wake_.get(), 1);
  if (thread_.joinable()) thread_.join();
}

Status ExitWatcher::open() {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  inotify_.reset(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_ || !inotify_ || !wake_) return errno_error(errno, "watch for exits");
  HF_TRY(os::make_directories(paths_.exits()));
  if (inotify_add_watch(inotify_.get(), paths_.exits().c_str(), IN_MOVED_TO | IN_CLOSE_WRITE) < 0)
    return errno_error(errno, "watch " + paths_.exits().string());
  for (const int fd : {inotify_.get(), wake_.get()}) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
      return errno_error(errno, "watch for exits");
  }
  return ok();
}

void ExitWatcher::watch(const plan::InstanceId& id, const ProcessId& init,
                        const ProcessId& conmon) {
  Watched fresh{.processes = {init, conmon},
                .init = open_process(init),
                .conmon = open_process(conmon),
                .report_by = {}};
  const std::lock_guard lock{mutex_};
  if (!fresh.init || !fresh.conmon) fresh.report_by = clock_.boot();
  auto& entry = watched_[id];
  entry = std::move(fresh);  // closing the old fds takes them out of the epoll set
  for (const int fd : {entry.init.get(), entry.conmon.get()}) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    if (fd >= 0) epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  }
  // A new descriptor is waited for at once; only what is due already needs a look. Adopting 50
  // instances would wake the thread 50 times.
  if (entry.report_by) eventfd_write(wake_.get(), 1);
}

void ExitWatcher::forget(const plan::InstanceId& id) {
  const std::lock_guard lock{mutex_};
  watched_.erase(id);
}

bool ExitWatcher::runs(const plan::InstanceId& id, const ProcessId& init,
                       const ProcessId& conmon) const {
  const std::lock_guard lock{mutex_};
  const auto found = watched_.find(id);
  if (found == watched_.end() || found->second.processes != std::pair{init, conmon}) return false;
  const auto& watched = found->second;
  // One whose end was noticed runs on until it can be said how it ended.
  if (watched.report_by) return *watched.report_by > clock_.boot();
  return watched.init && watched.conmon;
}

int ExitWatcher::wait_ms() {
  const std::lock_guard lock{mutex_};
  std::optional<BootTime> first;
  for (const auto& [id, watched] : watched_)
    if (watched.report_by && (!first || *watched.report_by < *first)) first = watched.report_by;
  if (!first) return -1;
  const auto left = std::chrono::ceil<Milliseconds>(*first - clock_.boot()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1000));
}

void ExitWatcher::handle(int fd) {
  const std::lock_guard lock{mutex_};
  for (auto& [id, watched] : watched_) {
    const bool ended = watched.init.get() == fd;
    if (!ended && watched.conmon.get() != fd) continue;
    // conmon goes by itself after it wrote the exit file; alone it leaves its container
    // unsupervised.
    (ended ? watched.init : watched.conmon).reset();
    const auto at = clock_.boot() + (watched.conmon ? kConmonGrace : kExitFileGrace);
    watched.report_by = std::min(watched.report_by.value_or(at), at);
    return;
  }
}

void ExitWatcher::drain_exit_files() {
  alignas(inotify_event) std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t got = ::read(inotify_.get(), buffer.data(), buffer.size());
    if (got <= 0) return;
    const std::lock_guard lock{mutex_};
    for (ssize_t at = 0; at < got;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      if (event->len == 0) continue;
      const auto found = watched_.find(plan::InstanceId{event->name});
      if (found == watched_.end()) continue;
      found->second.report_by = clock_.boot();
      found->second.init.reset();
    }
  }
}

std::vector<plan::InstanceId> ExitWatcher::due() {
  std::vector<plan::InstanceId> out;
  const std::lock_guard lock{mutex_};
  const auto now = clock_.boot();
  for (auto entry = watched_.begin(); entry != watched_.end();) {
    auto& watched = entry->second;
    if (!watched.report_by || *watched.report_by > now) {
      ++entry;
      continue;
    }
    out.push_back(entry->first);
    watched.report_by.reset();
    entry = watched.init ? std::next(entry) : watched_.erase(entry);
  }
  return out;
}

void ExitWatcher::loop(const std::stop_token& stop) {
  os::name_this_thread("exits");
  std::array<epoll_event, 16> events;
  while (!stop.stop_requested()) {
    const int count =
        epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), wait_ms());
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      eventfd_t ignored = 0;
      if (fd == wake_.get()) {
        eventfd_read(fd, &ignored);
      } else if (fd == inotify_.get()) {
        drain_exit_files();
      } else {
        handle(fd);
      }
    }
    for (const auto& id : due()) on_exit_(id);
  }
}

}  // namespace holdfast::deploy::runtime
