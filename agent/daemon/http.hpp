#pragma once
/// \file
/// HTTP as the routes see it: a request, an answer, and the exchange between them. No Asio here.

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"
#include "proto/api/messages.hpp"

namespace holdfast::agent::daemon {

/// Who is at the other end of a unix socket (SO_PEERCRED, SO_PEERGROUPS: as of its connect).
struct Peer {
  uid_t uid = static_cast<uid_t>(-1);
  pid_t pid = 0;
  std::vector<gid_t> groups;  ///< primary and supplementary
};

struct Request {
  std::string method;
  std::string path;                          ///< decoded; begins with '/'
  std::map<std::string, std::string> query;  ///< decoded
  std::string body;
  std::optional<std::string> last_event_id;
  std::string upgrade;                       ///< the protocol that it asks for; empty: none
  std::optional<std::string> host;           ///< the field Host; empty when there were several
  std::optional<std::string> authorization;  ///< the same
  std::optional<Peer> peer;                  ///< none: it came over TCP
};

struct Response {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::string allow;         ///< of a 405
  std::string authenticate;  ///< of a 401
};

/// The status that fits an error.
[[nodiscard]] unsigned http_status(Errc code);
[[nodiscard]] Response error_response(const Error& error);

/// "/v1/logs/web?tail=5" into path and query. Errors: usage (not a path, bad percent encoding,
/// twice the same name, NUL).
[[nodiscard]] Status parse_target(std::string_view target, Request& request);

/// The next piece of a streamed body: empty when there is none yet, nothing when it has ended.
using Producer = std::function<std::optional<std::string>()>;

struct StreamOptions {
  std::string content_type;
  Producer
      next;  ///< called on the io thread whenever the former piece is written, and after `poke`
  std::string heartbeat;  ///< sent when nothing else was for 15 s; empty: none
};

/// A connection that goes on with another protocol, in other hands.
struct Upgraded {
  os::UniqueFd socket;          ///< non-blocking; none: the client went away
  std::shared_ptr<void> place;  ///< among the connections, until the last copy is gone
};
using OnUpgrade = std::function<void(Upgraded)>;

/// One request being answered, exactly once. Thread safe; the work happens on the io thread.
class Exchange {
 public:
  virtual ~Exchange() = default;
  [[nodiscard]] virtual const Request& request() const = 0;
  virtual void respond(Response response) = 0;
  virtual void stream(StreamOptions options) = 0;
  /// Answers 101 and gives the connection away: `taken` is called once, on the io thread.
  virtual void upgrade(std::string protocol, OnUpgrade taken) = 0;
  /// There may be more for `next`.
  virtual void poke() = 0;
  /// Called once, on the io thread, when the exchange is over, for whatever reason. Set before
  /// `stream`, on the io thread.
  virtual void on_close(std::function<void()> closed) = 0;

  void respond(const Error& error) { respond(error_response(error)); }
};
using ExchangePtr = std::shared_ptr<Exchange>;
/// Called on the io thread for every whole request.
/// It takes from the body what it needs: after the call there is none.
using Handler = std::function<void(ExchangePtr)>;
/// Bytes that the body of a request may have, by method and path.
using BodyLimit = std::function<std::size_t(std::string_view method, std::string_view path)>;

}  // namespace holdfast::agent::daemon
