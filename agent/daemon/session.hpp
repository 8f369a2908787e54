#pragma once
#include <memory>

#include "agent/daemon/byte_budget.hpp"
#include "agent/daemon/http.hpp"
#include "agent/daemon/places.hpp"
#include "common/os/unique_fd.hpp"

namespace boost::asio {
class io_context;
}

namespace holdfast::agent::daemon {

/// One connection: one request, one answer, then closed. Lives on the io thread; only the calls of
/// Exchange may come from others. Limits (packaging/doc/security.md T-50, T-51): header 16 KiB,
/// body as `body_limit` says and 2 MiB at most, 10 s for the whole request, 60 s for the engine to
/// answer, 30 s for each write, 2 s where its room is wanted by others; body and answer only as far
/// as the claim gets room for them; bytes after the request are refused, and the request with them.
class Session : public Exchange {
 public:
  struct Options {
    std::optional<Peer> peer;  ///< none: TCP
    std::unique_ptr<ByteBudget::Claim> claim;
    Handler handler;
    BodyLimit body_limit;
    std::function<void(Session*)> closed;  ///< the server forgets the session
  };
  [[nodiscard]] static std::shared_ptr<Session> create(boost::asio::io_context& io, os::UniqueFd fd,
                                                       Options options);

  virtual void start() = 0;
  /// Abrupt; safe to repeat.
  virtual void close() = 0;
  [[nodiscard]] virtual Occupation occupation() const = 0;
};

}  // namespace holdfast::agent::daemon
