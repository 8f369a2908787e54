#include "deploy/probe/connection.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

namespace holdfast::deploy::probe {

using Why = Interrupted::Why;

namespace {

/// Gets readable when a stop is requested; one for all connections of a thread, until one is
/// stopped.
os::UniqueFd& stop_signal() {
  thread_local os::UniqueFd fd;
  if (!fd) fd.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  return fd;
}

}  // namespace

Connection::Connection(BootTime deadline, const std::stop_token& stop)
    : deadline_(deadline), stop_(stop) {
  on_stop_.emplace(stop, [fd = stop_signal().get()] {
    constexpr std::uint64_t kOne = 1;
    [[maybe_unused]] const auto wrote = ::write(fd, &kOne, sizeof kOne);
  });
}

Connection::~Connection() {
  on_stop_.reset();  // first: it may be writing
  if (stop_.stop_requested()) stop_signal().reset();
}

std::optional<Interrupted> Connection::wait_for(short events) {
  for (;;) {
    if (stop_.stop_requested()) return Interrupted{Why::stopped};
    const auto left = std::chrono::ceil<Milliseconds>(deadline_ - SystemClock{}.boot()).count();
    if (left <= 0) return Interrupted{Why::timed_out};
    std::array<pollfd, 2> fds{{{socket_.get(), events, 0}, {stop_signal().get(), POLLIN, 0}}};
    const int ready =
        ::poll(fds.data(), fds.size(), static_cast<int>(std::min<std::int64_t>(left, 3'600'000)));
    if (ready < 0 && errno != EINTR) return Interrupted{Why::failed, errno};
    if (fds[0].revents != 0) return std::nullopt;
  }
}

std::optional<Interrupted> Connection::begin(std::uint32_t address, std::uint16_t port) {
  socket_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket_) return Interrupted{Why::failed, errno};
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(address);
  if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 &&
      errno != EINPROGRESS)
    return Interrupted{Why::failed, errno};
  return std::nullopt;
}

std::optional<Interrupted> Connection::connect(std::uint32_t address, std::uint16_t port) {
  if (auto early = begin(address, port)) return early;
  if (auto early = wait_for(POLLOUT)) return early;
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) return Interrupted{Why::failed, error};
  return std::nullopt;
}

std::optional<Interrupted> Connection::send_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      connected_ = true;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    if (sent >= 0 || errno == EINTR) continue;
    if (errno != EAGAIN) return Interrupted{Why::failed, errno};
    if (auto early = wait_for(POLLOUT)) return early;
  }
  return std::nullopt;
}

std::optional<Interrupted> Connection::receive(std::string& into, bool& end) {
  std::array<char, 8192> buffer;
  for (;;) {
    // Waiting first: also a peer that never stops sending is held to the deadline.
    if (auto early = wait_for(POLLIN)) return early;
    const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return Interrupted{Why::failed, errno};
    into.append(buffer.data(), static_cast<std::size_t>(got));
    end = got == 0;
    return std::nullopt;
  }
}

}  // namespace holdfast::deploy::probe
