#pragma once
#include <memory>

#include "agent/daemon/http.hpp"
#include "common/os/unique_fd.hpp"

namespace boost::asio {
class io_context;
}

namespace holdfast::agent::daemon {

enum class Listener : std::uint8_t { api, metrics };

/// Accepts connections and keeps their sessions. At most 128 on the API, 32 of them of one user
/// other than root, and 16 on the metrics port; over the limit the oldest connection that has not
/// sent its request yet gives way, else the new one. Lives on the io thread.
class Server {
 public:
  [[nodiscard]] static std::unique_ptr<Server> create(boost::asio::io_context& io, Handler handler);
  virtual ~Server() = default;

  /// Accepts from `fd`, which stays the caller's; replaces the former one of that kind.
  virtual void accept_from(Listener which, int fd) = 0;
  virtual void stop_accepting() = 0;
  /// Closes every session.
  virtual void close_all() = 0;
  /// Open connections, for the metrics.
  [[nodiscard]] virtual std::size_t connections() const = 0;
};

}  // namespace holdfast::agent::daemon
