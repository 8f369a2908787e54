#include "deploy/runtime/observe/change_watcher.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include "common/os/process.hpp"

namespace holdfast::deploy::runtime {
namespace {

constexpr Milliseconds kOwnWrite{20};
constexpr Milliseconds kBetweenMemoryReports{1'000};

/// Files of a control group whose change is one of limits.
constexpr std::array<std::string_view, 6> kLimitFiles{"memory.limit_in_bytes", "memory.max",
                                                      "cpu.cfs_quota_us",      "cpu.max",
                                                      "cpu.cfs_period_us",     "pids.max"};

std::uint64_t inode_at(const std::string& path) {
  struct stat info {};
  return !path.empty() && ::stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

os::UniqueFd open_readable(const std::string& path) {
  return os::UniqueFd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
}

}  // namespace

Result<std::unique_ptr<ChangeWatcher>> ChangeWatcher::start(const Cgroups& cgroups,
                                                            const Clock& clock,
                                                            Callback on_change) {
  std::unique_ptr<ChangeWatcher> watcher{new ChangeWatcher{cgroups, clock, std::move(on_change)}};
  HF_TRY(watcher->open());
  watcher->thread_ =
      std::jthread{[raw = watcher.get()](const std::stop_token& stop) { raw->loop(stop); }};
  return watcher;
}

ChangeWatcher::~ChangeWatcher() {
  thread_.request_stop();
  if (wake_) eventfd_write(wake_.get(), 1);
  if (thread_.joinable()) thread_.join();
}

Status ChangeWatcher::open() {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  inotify_.reset(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  own_mounts_ = open_readable("/proc/self/mountinfo");
  if (!epoll_ || !inotify_ || !wake_ || !own_mounts_)
    return errno_error(errno, "watch for changes");
  for (const int fd : {inotify_.get(), wake_.get(), own_mounts_.get()}) {
    const bool mounts = fd == own_mounts_.get();
    epoll_event event{.events = mounts ? std::uint32_t{EPOLLPRI} : std::uint32_t{EPOLLIN},
                      .data = {.fd = fd}};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
      return errno_error(errno, "watch for changes");
  }
  return ok();
}

void ChangeWatcher::add_group(const std::string& path, const plan::InstanceId& id) {
  const int watch = inotify_add_watch(inotify_.get(), path.c_str(), IN_MODIFY | IN_ONLYDIR);
  if (watch < 0) return;
  auto& directory = directories_[watch];
  directory.is_group = true;
  directory.instances.insert(id);
}

/// Every directory above the file, for the one entry in it that leads there: a directory that is
/// moved away tells nothing to a watch on itself.
void ChangeWatcher::add_way_to(const std::string& secret, const plan::InstanceId& id) {
  constexpr std::uint32_t kMask =
      IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | IN_ONLYDIR;
  for (std::filesystem::path at{secret}; at.has_relative_path(); at = at.parent_path()) {
    const int watch = inotify_add_watch(inotify_.get(), at.parent_path().c_str(), kMask);
    if (watch < 0) continue;
    auto& directory = directories_[watch];
    directory.instances.insert(id);
    directory.names.insert(at.filename().string());
  }
}

/// After a change on the way other directories may lead to the secret.
void ChangeWatcher::watch_again(const Reports& reports) {
  for (const auto& [id, change] : reports) {
    const auto found = watched_.find(id);
    if (change != Change::inside || found == watched_.end()) continue;
    for (const auto& secret : found->second.files) add_way_to(secret, id);
  }
}

void ChangeWatcher::watch(const plan::InstanceId& id, const WatchedPlaces& places) {
  const std::lock_guard lock{mutex_};
  forget_locked(id);
  auto& entry = watched_[id];
  entry.mounts = open_readable(fmt::format("/proc/{}/mountinfo", places.init));
  entry.oom = cgroups_.watch_oom(places.group);
  entry.netns = places.netns;
  entry.netns_inode = inode_at(places.netns);
  entry.files = places.files;
  for (const auto& path : cgroups_.watched(places.group)) add_group(path.string(), id);
  for (const auto& path : places.files) add_way_to(path, id);
  epoll_event mounts{.events = EPOLLPRI, .data = {.fd = entry.mounts.get()}};
  if (entry.mounts) epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, entry.mounts.get(), &mounts);
  epoll_event oom{.events = EPOLLIN, .data = {.fd = entry.oom.get()}};
  if (entry.oom) epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, entry.oom.get(), &oom);
}

void ChangeWatcher::forget_locked(const plan::InstanceId& id) {
  {
    const std::lock_guard lock{quiet_mutex_};
    quiet_until_.erase(id);
  }
  watched_.erase(id);  // closing its descriptors takes them out of the epoll set
  for (auto at = directories_.begin(); at != directories_.end();) {
    at->second.instances.erase(id);
    if (at->second.instances.empty()) {
      inotify_rm_watch(inotify_.get(), at->first);
      at = directories_.erase(at);
    } else {
      ++at;
    }
  }
}

void ChangeWatcher::forget(const plan::InstanceId& id) {
  const std::lock_guard lock{mutex_};
  forget_locked(id);
}

void ChangeWatcher::expect_freezer(const plan::InstanceId& id) {
  const std::lock_guard lock{quiet_mutex_};
  quiet_until_[id] = clock_.boot() + kOwnWrite;
}

bool ChangeWatcher::is_quiet(const plan::InstanceId& id) {
  const std::lock_guard lock{quiet_mutex_};
  const auto found = quiet_until_.find(id);
  return found != quiet_until_.end() && clock_.boot() < found->second;
}

void ChangeWatcher::group_changed(const plan::InstanceId& id, std::string_view file,
                                  Reports& reports) {
  const auto found = watched_.find(id);
  if (found == watched_.end()) return;
  auto& watched = found->second;
  const auto now = clock_.boot();
  if (file == "freezer.state" || file == "cgroup.freeze") {
    if (!is_quiet(id)) reports.emplace(id, Change::limits);
  } else if (file == "memory.events") {
    if (now - watched.last_memory < kBetweenMemoryReports) return;
    watched.last_memory = now;
    reports.emplace(id, Change::limits);
  } else if (std::find(kLimitFiles.begin(), kLimitFiles.end(), file) != kLimitFiles.end()) {
    reports.emplace(id, Change::limits);
  }
}

void ChangeWatcher::read_inotify(Reports& reports) {
  alignas(inotify_event) std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t got = ::read(inotify_.get(), buffer.data(), buffer.size());
    if (got <= 0) return;
    for (ssize_t at = 0; at < got;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      if ((event->mask & IN_IGNORED) != 0) {
        directories_.erase(event->wd);
        continue;
      }
      const auto found = directories_.find(event->wd);
      if (found == directories_.end() || event->len == 0) continue;
      const std::string_view name{event->name};
      // A file that is being written is one when it is closed.
      if ((event->mask & IN_CREATE) != 0 && (event->mask & IN_ISDIR) == 0) continue;
      if (!found->second.is_group && !found->second.names.contains(name)) continue;
      for (const auto& id : found->second.instances) {
        if (found->second.is_group) {
          group_changed(id, name, reports);
        } else {
          reports.emplace(id, Change::inside);
        }
      }
    }
  }
}

void ChangeWatcher::fd_ready(int fd, Reports& reports) {
  if (fd == own_mounts_.get()) {
    for (auto& [id, watched] : watched_) {
      const auto now = inode_at(watched.netns);
      if (now != watched.netns_inode) reports.emplace(id, Change::inside);
      watched.netns_inode = now;
    }
    return;
  }
  for (auto& [id, watched] : watched_) {
    if (watched.mounts.get() == fd) {
      reports.emplace(id, Change::inside);
    } else if (watched.oom.get() == fd) {
      eventfd_t count = 0;
      eventfd_read(fd, &count);
      reports.emplace(id, Change::limits);
    }
  }
}

void ChangeWatcher::loop(const std::stop_token& stop) {
  os::name_this_thread("changes");
  std::array<epoll_event, 16> events;
  while (!stop.stop_requested()) {
    const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    Reports reports;
    {
      const std::lock_guard lock{mutex_};
      for (int i = 0; i < count; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        if (fd == inotify_.get()) {
          read_inotify(reports);
          watch_again(reports);
        } else if (fd != wake_.get()) {
          fd_ready(fd, reports);
        }
      }
    }
    for (const auto& [id, change] : reports) on_change_(id, change);
  }
}

}  // namespace holdfast::deploy::runtime
