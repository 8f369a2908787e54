#include "deploy/runtime/host/notify_listener.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include "common/log/log.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"

namespace holdfast::deploy::runtime {
namespace {

constexpr const char* kSocketName = "notify.sock";
/// So many datagrams of one instance are read at once; who sends more waits in its own send(2).
constexpr int kMostAtOnce = 64;
constexpr Milliseconds kBreath{50};

/// Through /proc/self/fd: sun_path holds 107 characters, a run directory may be longer.
Result<os::UniqueFd> bind_socket(const std::filesystem::path& directory) {
  HF_TRY(os::make_directories(directory, 0755));
  HF_ASSIGN(const auto at, os::open_file(directory, O_PATH | O_DIRECTORY));
  const auto path = fmt::format("/proc/self/fd/{}/{}", at.get(), kSocketName);
  ::unlink(path.c_str());
  os::UniqueFd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!socket) return errno_error(errno, "make a notify socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return errno_error(errno, "bind " + (directory / kSocketName).string());
  // Any user of the container may send; nobody else reaches the directory.
  if (::chmod(path.c_str(), 0666) != 0 || ::chmod(directory.c_str(), 0755) != 0)
    return errno_error(errno, "chmod " + (directory / kSocketName).string());
  return socket;
}

}  // namespace

NotifyListener::~NotifyListener() {
  thread_.request_stop();
  if (wake_) eventfd_write(wake_.get(), 1);
}

Status NotifyListener::start_thread() {
  if (thread_.joinable()) return ok();
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  epoll_event event{.events = EPOLLIN, .data = {.fd = wake_.get()}};
  if (!epoll_ || !wake_ || epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0)
    return errno_error(errno, "listen to notify sockets");
  thread_ = std::jthread{[this](const std::stop_token& stop) { loop(stop); }};
  return ok();
}

Status NotifyListener::add(const plan::InstanceId& id, os::UniqueFd socket) {
  const std::lock_guard lock{mutex_};
  HF_TRY(start_thread());
  epoll_event event{.events = EPOLLIN, .data = {.fd = socket.get()}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket.get(), &event) != 0)
    return errno_error(errno, "listen to " + id.str());
  auto& entry = entries_[id];
  entry.socket = std::move(socket);  // closing an old one takes it out of the epoll set
  std::error_code ignored;
  entry.said.ready = std::filesystem::exists(paths_.ready_mark(id), ignored);
  return ok();
}

Status NotifyListener::listen(const plan::InstanceId& id) {
  auto socket = bind_socket(paths_.notify(id));
  if (!socket) return std::move(socket).error().in("notify socket of " + id.str());
  return add(id, std::move(socket).value());
}

void NotifyListener::adopt() {
  std::error_code ignored;
  for (const auto& bundle : std::filesystem::directory_iterator{paths_.bundles(), ignored}) {
    const plan::InstanceId id{bundle.path().filename().string()};
    if (!std::filesystem::is_directory(paths_.notify(id), ignored)) continue;
    if (auto again = listen(id); !again)
      log::error("event=notify_lost instance={} error={}", id.str(),
                 log::field(again.error().to_string()));
  }
}

void NotifyListener::reset(const plan::InstanceId& id) {
  const std::lock_guard lock{mutex_};
  const auto found = entries_.find(id);
  if (found == entries_.end()) return;
  while (drain(id, found->second)) {
  }
  found->second.said = {};
  ::unlink(paths_.ready_mark(id).c_str());
}

void NotifyListener::thawed(const plan::InstanceId& id) {
  const std::lock_guard lock{mutex_};
  const auto found = entries_.find(id);
  if (found != entries_.end() && found->second.said.watchdog)
    found->second.said.watchdog = clock_.boot();
}

void NotifyListener::forget(const plan::InstanceId& id) {
  const std::lock_guard lock{mutex_};
  entries_.erase(id);
}

std::optional<SdNotifyState> NotifyListener::state(const plan::InstanceId& id) {
  const std::lock_guard lock{mutex_};
  const auto found = entries_.find(id);
  if (found == entries_.end()) return std::nullopt;
  // What has arrived counts, also when this agent was stopped for a while and its thread has not
  // read it yet.
  (void)drain(id, found->second);
  return found->second.said;
}

/// True when there may be more. Caller holds the mutex.
bool NotifyListener::drain(const plan::InstanceId& id, Entry& entry) {
  std::array<char, 4096> buffer;
  for (int i = 0; i < kMostAtOnce; ++i) {
    const auto got = ::recv(entry.socket.get(), buffer.data(), buffer.size(), MSG_TRUNC);
    if (got < 0) return errno == EINTR;
    if (static_cast<std::size_t>(got) > buffer.size()) continue;
    const bool was_ready = entry.said.ready;
    take_datagram(entry.said, {buffer.data(), static_cast<std::size_t>(got)}, clock_.boot());
    if (!was_ready && entry.said.ready) {
      if (auto kept = os::write_atomic(paths_.ready_mark(id), "", 0600, os::Durability::lazy);
          !kept)
        log::warn("event=ready_not_kept instance={} error={}", id.str(),
                  log::field(kept.error().to_string()));
    }
  }
  return true;
}

void NotifyListener::loop(const std::stop_token& stop) {
  os::name_this_thread("notify");
  std::array<epoll_event, 16> events;
  while (!stop.stop_requested()) {
    const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    bool more = false;
    {
      const std::lock_guard lock{mutex_};
      for (int i = 0; i < count; ++i) {
        for (auto& [id, entry] : entries_) {
          if (entry.socket.get() == events[static_cast<std::size_t>(i)].data.fd)
            more = drain(id, entry) || more;
        }
      }
    }
    if (more) os::sleep_until(clock_.boot() + kBreath, stop);
  }
}

}  // namespace holdfast::deploy::runtime
