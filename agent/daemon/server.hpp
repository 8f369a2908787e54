#pragma once
#include <functional>
#include <memory>

#include "agent/daemon/access.hpp"
#include "agent/daemon/http.hpp"
#include "common/os/unique_fd.hpp"

namespace boost::asio {
class io_context;
}

namespace holdfast::agent::daemon {

enum class Listener : std::uint8_t { api, metrics };

/// Accepts connections and keeps their sessions; who gets a place when they are many, places.hpp
/// says, and who gets memory, byte_budget.hpp. Lives on the io thread.
class Server {
 public:
  using RoleOf = std::function<Role(const Peer&)>;
  struct Parts {
    Handler handler;
    RoleOf role_of;
    BodyLimit body_limit;
  };
  [[nodiscard]] static std::unique_ptr<Server> create(boost::asio::io_context& io, Parts parts);
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
