#pragma once
/// \file
/// A blocking HTTP/1.1 client over a unix socket: common/http fed from plain read(2). No
/// threads, no event loop.

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::agent::cli {

struct HttpRequest {
  std::string method = "GET";
  std::string target;          ///< path and query, already encoded
  std::string body;            ///< JSON; empty: none
  std::string_view upgrade{};  ///< the protocol that the connection is to go on with; empty: none
  /// The next step when the connection ends before the answer is complete.
  std::string_view if_cut_off =
      "it may have been restarted: try again, and look at \"journalctl -u holdfastd\"";
};

struct HttpResponse {
  unsigned status = 0;
  std::string content_type;
  std::string body;
};

/// A connection that goes on with another protocol.
struct Connection {
  os::UniqueFd socket;  ///< non-blocking
  std::string first;    ///< what has come already
};

/// The body of one response as it arrives. Closing is destruction.
class HttpStream {
 public:
  HttpStream(HttpStream&&) noexcept;
  HttpStream& operator=(HttpStream&&) noexcept;
  ~HttpStream();

  [[nodiscard]] unsigned status() const;
  [[nodiscard]] std::string content_type() const;
  /// The next piece of the body, none at its end. Errors: timed_out (nothing came until `deadline`;
  /// the stream can be read on), cancelled (the interrupt fd became readable), unreachable (the
  /// connection broke off), internal (not HTTP).
  [[nodiscard]] Result<std::optional<std::string>> next(std::optional<BootTime> deadline);
  /// After a 101; the stream is of no more use.
  [[nodiscard]] Connection take_connection() &&;

 private:
  friend class HttpClient;
  struct State;
  explicit HttpStream(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// One connection per request. Not thread safe.
class HttpClient {
 public:
  struct Options {
    std::filesystem::path socket;
    int interrupt_fd = -1;  ///< readable: give up waiting (Errc::cancelled); -1: none
  };
  HttpClient(const Clock& clock, Options options) : clock_(clock), options_(std::move(options)) {}

  /// Sends and reads the whole answer, at most 64 MiB. Errors: unreachable (nobody listens, or
  /// broke off), perm (the socket may not be opened), timed_out, cancelled, too_large, internal.
  [[nodiscard]] Result<HttpResponse> send(const HttpRequest& request, Milliseconds timeout) const;

  /// Sends and reads the header; the body follows from the stream, without a limit. Errors: as
  /// `send`.
  [[nodiscard]] Result<HttpStream> open(const HttpRequest& request, Milliseconds timeout) const;

  [[nodiscard]] const std::filesystem::path& socket() const { return options_.socket; }

 private:
  const Clock& clock_;
  Options options_;
};

}  // namespace holdfast::agent::cli
