#pragma once
#include <sys/poll.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::deploy::probe {

/// Why an exchange ended early; the text goes into `Outcome::detail`.
struct Interrupted {
  enum class Why : std::uint8_t { timed_out, stopped, failed } why;
  int error = 0;  ///< errno, for `failed`
};

/// A TCP connection with one deadline for everything. Non-blocking, so that the deadline and a stop
/// always win.
class Connection {
 public:
  Connection(BootTime deadline, const std::stop_token& stop);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  /// Waits until there is a connection.
  [[nodiscard]] std::optional<Interrupted> connect(std::uint32_t address, std::uint16_t port);
  /// Does not wait: what is sent next does, if it must. On one host it need not, which saves an
  /// idle agent two of eight system calls a probe.
  [[nodiscard]] std::optional<Interrupted> begin(std::uint32_t address, std::uint16_t port);
  /// Something was sent, so a failure is no longer one of connecting.
  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] std::optional<Interrupted> send_all(std::string_view text);
  /// Appends what has come; `end` tells that the peer has closed.
  [[nodiscard]] std::optional<Interrupted> receive(std::string& into, bool& end);

 private:
  [[nodiscard]] std::optional<Interrupted> wait_for(short events);

  BootTime deadline_;
  std::stop_token stop_;
  os::UniqueFd socket_;
  bool connected_ = false;
  std::optional<std::stop_callback<std::function<void()>>> on_stop_;
};

}  // namespace holdfast::deploy::probe
