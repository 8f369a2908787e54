#include "agent/daemon/notify.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

#include "common/base/text.hpp"
#include "common/os/environment.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::agent::daemon {

Notifier Notifier::from_environment() {
  Notifier notifier;
  notifier.socket_ = os::environment("NOTIFY_SOCKET").value_or("");
  const auto wanted = os::environment("WATCHDOG_PID");
  if (wanted && *wanted != std::to_string(getpid())) return notifier;
  if (const auto text = os::environment("WATCHDOG_USEC")) {
    if (const auto value = parse_number(*text); value && *value > 0)
      notifier.watchdog_ = std::chrono::microseconds{static_cast<std::int64_t>(*value)};
  }
  return notifier;
}

void Notifier::send(std::string_view message) const {
  sockaddr_un address{};
  if (socket_.empty() || socket_.size() >= sizeof(address.sun_path)) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  if (socket_.front() == '@') address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  const os::UniqueFd fd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  (void)::sendto(fd.get(), message.data(), message.size(), MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&address), size);
}

void Notifier::status(const std::string& text) {
  const auto line = printable(text);
  if (line == last_status_) return;
  last_status_ = line;
  send(fmt::format("STATUS={}", line));
}

}  // namespace holdfast::agent::daemon
