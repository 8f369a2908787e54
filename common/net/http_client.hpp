#pragma once
/// \file
/// One HTTP request and its answer. No redirects, no authentication, no retries: those are
/// decisions, made above.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"

namespace holdfast::net {

/// Where an address lies, for the checks against being sent to somebody else's inside
/// (packaging/doc/security.md ).
enum class Reach : std::uint8_t { public_, private_, loopback, link_local };

enum class HttpMethod : std::uint8_t { get, head };

struct HttpRequest {
  HttpMethod method = HttpMethod::get;
  std::string url;
  std::vector<std::string> headers;
  bool allow_http = false;  ///< else https only
  std::string post;         ///< form body, sent by POST whatever `method` says; empty: none
  std::string ca_pem;       ///< trust anchors in place of the system's bundle when not empty
  std::string client_certificate_pem;
  std::string client_key_pem;
  std::string proxy;       ///< URL, perhaps with a login; empty: directly
  long total_seconds = 0;  ///< 0: only connect and low-speed limits
  /// Refuses addresses by where they lie; called with the address actually connected to. With a
  /// proxy that would be the proxy's, so it is not called then.
  std::function<bool(Reach)> accept_address;
};

/// 301, 302, 303, 307 or 308.
[[nodiscard]] constexpr bool is_redirect(long status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}
inline constexpr int kMaxRedirects = 5;  ///< that one request follows

struct HttpHead {
  long status = 0;
  std::string content_type;
  std::string content_encoding;
  std::string content_range;
  std::string location;
  std::string etag;
  std::optional<std::chrono::seconds> retry_after;  ///< from either form of Retry-After
  std::vector<std::string> challenges;              ///< values of WWW-Authenticate
  std::optional<std::uint64_t> content_length;
};

/// Takes the body as it comes. The head is complete before the first call.
/// An error ends the transfer and is what `perform` returns.
using BodySink = std::function<Status(const HttpHead&, std::span<const char>)>;

/// A connection cache of one thread. Time-outs: connect 10 s, first byte and every 30 s at least 1
/// KiB/s (packaging/doc/security.md 1.9).
class HttpClient {
 public:
  HttpClient();
  HttpClient(HttpClient&&) noexcept;
  ~HttpClient();

  /// Once a process, before any thread. Errors: internal.
  [[nodiscard]] static Status start();

  /// Errors: unreachable, net_timeout, net_slow, tls, ssrf, registry (protocol), too_large
  /// (headers), and the sink's.
  [[nodiscard]] Result<HttpHead> perform(const HttpRequest& request, const BodySink& sink);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Scheme, host and port of a URL, normalised: "https://example.com:443". Errors: redirect
/// (malformed).
[[nodiscard]] Result<std::string> origin_of(const std::string& url);
/// `location` as seen from `base`. Errors: redirect (malformed).
[[nodiscard]] Result<std::string> resolve_url(const std::string& base, const std::string& location);
/// "example.com:5000", for messages: no user, path or query.
[[nodiscard]] std::string host_of(const std::string& url);

}  // namespace holdfast::net
