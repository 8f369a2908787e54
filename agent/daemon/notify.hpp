#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::agent::daemon {

/// sd_notify(3) by hand: one datagram to $NOTIFY_SOCKET (also an abstract one, "@…"). Without it,
/// or when nobody listens, nothing happens.
class Notifier {
 public:
  /// Reads $NOTIFY_SOCKET and $WATCHDOG_USEC.
  [[nodiscard]] static Notifier from_environment();

  void send(std::string_view message) const;
  /// "STATUS=…", when it differs from the one before.
  void status(const std::string& text);
  /// How often the watchdog wants to hear from us at the latest; none: there is none.
  [[nodiscard]] std::optional<std::chrono::microseconds> watchdog() const { return watchdog_; }

 private:
  std::string socket_;
  std::string last_status_;
  std::optional<std::chrono::microseconds> watchdog_;
};

}  // namespace holdfast::agent::daemon
