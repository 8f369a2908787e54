#include "agent/daemon/session.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "common/base/text.hpp"
#include "common/http/reader.hpp"
#include "common/http/text.hpp"

namespace holdfast::agent::daemon {
namespace {

namespace asio = boost::asio;
using Socket = asio::generic::stream_protocol::socket;
using boost::system::error_code;
using std::chrono::seconds;

constexpr std::uint32_t kHeaderLimit = 16U << 10;
constexpr std::size_t kBodyLimit = 2U << 20;  ///< of any request
/// More than this is a document, which takes so many times as much while it is read and compared.
constexpr std::size_t kSmallBody = 64U << 10;
constexpr std::size_t kCostOfDocument = 4;
constexpr auto kRequestTime = seconds{10};
constexpr auto kAnswerTime = seconds{60};
constexpr auto kWriteTime = seconds{30};
constexpr auto kWantedWriteTime = seconds{2};  ///< where another finds no room meanwhile
constexpr auto kLingerTime = seconds{2};
constexpr auto kHeartbeat = seconds{15};
constexpr std::size_t kReadSize = 4096;

Response refusal(unsigned status, Errc code, std::string what) {
  auto response = error_response(Error{code, std::move(what)});
  response.status = status;
  return response;
}

/// An assignment of an empty string would keep the memory.
void release(std::string& text) { std::string{}.swap(text); }

Response body_too_large(std::size_t limit) {
  return refusal(413, Errc::too_large,
                 fmt::format("the request body is larger than {}", human_bytes(limit)));
}

/// There is no room for what is asked or answered.
Response no_room(std::string_view what) {
  return error_response(
      Error{Errc::busy, fmt::format("no memory is left for {} of this size: requests that have not "
                                    "arrived and answers that have not been read take it",
                                    what)}
          .hint("end other requests of yours, or try again in some seconds"));
}

Response parse_refusal(const http::RequestReader& reader) {
  if (reader.fault() == http::Fault::body_too_large) return body_too_large(kBodyLimit);
  if (reader.fault() == http::Fault::head_too_large)
    return refusal(431, Errc::too_large,
                   fmt::format("the request header is larger than {}", human_bytes(kHeaderLimit)));
  return refusal(400, Errc::usage, fmt::format("not an HTTP request: {}", reader.fault_text()));
}

class SessionImpl final : public Session, public std::enable_shared_from_this<SessionImpl> {
 public:
  SessionImpl(Socket socket, Options options)
      : socket_(std::move(socket)), timer_(socket_.get_executor()), options_(std::move(options)) {}

  void start() override {
    arm(kRequestTime, [this] {
      answer(refusal(408, Errc::timed_out, "the request did not arrive within 10 s"));
    });
    read();
  }

  void close() override {
    if (phase_ == Phase::closed) return;
    phase_ = Phase::closed;
    timer_.cancel();
    error_code ignored;
    socket_.close(ignored);
    stream_ = {};
    if (auto taken = std::exchange(on_upgrade_, {})) taken({});
    const auto self = shared_from_this();  // the server's may be the last one
    if (auto closed = std::exchange(closed_, {})) closed();
    if (options_.closed) options_.closed(this);
  }

  [[nodiscard]] Occupation occupation() const override {
    switch (phase_) {
      case Phase::reading:
        return Occupation::reading;
      case Phase::streaming:
        return Occupation::streaming;
      case Phase::waiting:
      case Phase::upgraded:
        return Occupation::working;
      case Phase::finishing:
      case Phase::closed:
        break;
    }
    return Occupation::writing;
  }
  [[nodiscard]] const Request& request() const override { return request_; }
  void on_close(std::function<void()> closed) override { closed_ = std::move(closed); }

  void respond(Response response) override {
    const auto shared = std::make_shared<Response>(std::move(response));
    asio::post(socket_.get_executor(),
               [self = shared_from_this(), shared] { self->answer(std::move(*shared)); });
  }

  void stream(StreamOptions options) override {
    const auto shared = std::make_shared<StreamOptions>(std::move(options));
    asio::post(socket_.get_executor(),
               [self = shared_from_this(), shared] { self->begin_stream(std::move(*shared)); });
  }

  void upgrade(std::string protocol, OnUpgrade taken) override {
    asio::post(socket_.get_executor(), [self = shared_from_this(), protocol = std::move(protocol),
                                        taken = std::move(taken)]() mutable {
      self->begin_upgrade(protocol, std::move(taken));
    });
  }

  void poke() override {
    if (poked_.exchange(true)) return;  // one is on its way
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
      self->poked_ = false;
      self->pump();
    });
  }

 private:
  enum class Phase { reading, waiting, streaming, finishing, upgraded, closed };

  template <class F>
  void arm(std::chrono::seconds after, F on_expiry) {
    timer_.expires_after(after);
    timer_.async_wait([self = shared_from_this(), on_expiry](const error_code& failed) {
      if (!failed && self->phase_ != Phase::closed) on_expiry();
    });
  }

  void read() {
    socket_.async_read_some(asio::buffer(buffer_),
                            [self = shared_from_this()](const error_code& failed, std::size_t got) {
                              self->on_read(failed, got);
                            });
  }

  void on_read(const error_code& failed, std::size_t got) {
    if (phase_ == Phase::closed || phase_ == Phase::upgraded) return;
    if (phase_ != Phase::reading) return on_late_read(failed, got);
    if (failed) return close();
    reader_.feed({buffer_.data(), got});
    const auto refused = judge();
    if (!refused && !reader_.done()) return read();
    read();  // from here on to notice that the peer went away
    if (refused) return answer(*refused);
    dispatch();
  }

  /// Why the request is not taken, as far as it has come.
  std::optional<Response> judge() {
    if (reader_.fault() != http::Fault::none) return parse_refusal(reader_);
    if (!reader_.head_done()) return std::nullopt;
    const auto& message = reader_.message();
    if (request_.path.empty()) {
      if (const auto parsed = parse_target(message.target, request_); !parsed)
        return error_response(parsed.error());
      body_limit_ = std::min(kBodyLimit, options_.body_limit(message.method, request_.path));
    }
    if (message.body.size() > body_limit_) return body_too_large(body_limit_);
    if (!claim(message.body.capacity())) return no_room("a request");
    return std::nullopt;
  }

  bool claim(std::size_t bytes) { return !options_.claim || options_.claim->resize(bytes); }

  /// After the request only the end is of interest: of a stream always, of an answer once it is
  /// written.
  void on_late_read(const error_code& failed, std::size_t got) {
    if (failed) {
      if (phase_ == Phase::streaming || lingering_ || failed != asio::error::eof) close();
      return;
    }
    late_bytes_ += got;
    if (late_bytes_ > kBodyLimit) return close();
    read();
  }

  void dispatch() {
    auto& message = reader_.message();
    request_.method = std::move(message.method);
    request_.body = std::move(message.body);
    request_.last_event_id = std::move(message.last_event_id);
    request_.upgrade = std::move(message.upgrade);
    request_.host = std::move(message.host);
    request_.authorization = std::move(message.authorization);
    request_.peer = options_.peer;
    chunked_ = message.takes_chunks;
    if (reader_.left_over() > 0)
      return answer(refusal(400, Errc::usage, "there are bytes after the end of the request"));
    if (request_.body.size() > kSmallBody && !claim(kCostOfDocument * request_.body.size()))
      return answer(no_room("a request"));
    phase_ = Phase::waiting;
    arm(kAnswerTime,
        [this] { answer(refusal(504, Errc::timed_out, "the engine did not answer within 60 s")); });
    options_.handler(shared_from_this());
    drop_body();
  }

  void drop_body() {
    release(request_.body);
    release(reader_.message().body);
  }

  /// The claim for the request goes on until here: what was asked is in memory while it is worked
  /// on.
  void answer(Response response) {
    if (phase_ != Phase::reading && phase_ != Phase::waiting) return;
    phase_ = Phase::finishing;
    drop_body();
    if (!claim(response.body.size())) response = no_room("an answer");
    out_ = http::response_head(response.status,
                               {{"Content-Type", response.content_type},
                                {"Content-Length", fmt::format("{}", response.body.size())},
                                {"Cache-Control", "no-store"},
                                {"Connection", "close"},
                                {"Allow", response.allow},
                                {"WWW-Authenticate", response.authenticate}});
    if (request_.method != "HEAD") body_ = std::move(response.body);
    write();
  }

  void begin_stream(StreamOptions options) {
    if (phase_ != Phase::waiting) return;
    phase_ = Phase::streaming;
    (void)claim(0);
    stream_ = std::move(options);
    out_ = http::response_head(200, {{"Content-Type", stream_.content_type},
                                     {"Cache-Control", "no-store"},
                                     {"Connection", "close"},
                                     {"Transfer-Encoding", chunked_ ? "chunked" : ""}});
    write();
  }

  /// From here on this only holds the place; a client that sends before the 101 loses what it sent.
  void begin_upgrade(const std::string& protocol, OnUpgrade taken) {
    if (phase_ != Phase::waiting) return taken({});
    phase_ = Phase::upgraded;
    (void)claim(0);
    on_upgrade_ = std::move(taken);
    error_code ignored;
    socket_.cancel(ignored);
    out_ = http::response_head(101, {{"Connection", "Upgrade"}, {"Upgrade", protocol}});
    write();
  }

  void give_away() {
    timer_.cancel();
    error_code failed;
    os::UniqueFd fd{socket_.release(failed)};
    if (failed) return close();
    // Its last holder may be on any thread.
    const std::shared_ptr<void> place{nullptr, [self = shared_from_this()](void*) {
                                        asio::post(self->timer_.get_executor(),
                                                   [self] { self->close(); });
                                      }};
    std::exchange(on_upgrade_, {})({std::move(fd), place});
  }

  void pump() {
    if (phase_ != Phase::streaming || !out_.empty()) return;
    auto piece = stream_.next();
    if (!piece) {
      phase_ = Phase::finishing;
      out_ = chunked_ ? http::chunk({}) : "";
      return write();
    }
    if (piece->empty()) return wait_for_more();
    out_ = chunk(*piece);
    write();
  }

  void wait_for_more() {
    if (stream_.heartbeat.empty()) {
      timer_.cancel();
      return;
    }
    arm(kHeartbeat, [this] {
      if (phase_ != Phase::streaming || !out_.empty()) return;
      out_ = chunk(stream_.heartbeat);
      write();
    });
  }

  [[nodiscard]] std::string chunk(const std::string& piece) const {
    return chunked_ ? http::chunk(piece) : piece;
  }

  void write() {
    if (options_.claim) (void)options_.claim->is_wanted();  // counts from now on
    watch_write(kWriteTime / kWantedWriteTime);
    asio::async_write(socket_, std::array{asio::buffer(out_), asio::buffer(body_)},
                      [self = shared_from_this()](const error_code& failed, std::size_t) {
                        self->on_written(failed);
                      });
  }

  /// What a peer does not take goes after 30 s, and as soon as its room is wanted.
  void watch_write(int looks_left) {
    arm(kWantedWriteTime, [this, looks_left] {
      const bool wanted = options_.claim && options_.claim->is_wanted();
      if (wanted || looks_left <= 1) return close();
      watch_write(looks_left - 1);
    });
  }

  void on_written(const error_code& failed) {
    if (phase_ == Phase::closed) return;
    if (failed) return close();
    release(out_);
    release(body_);
    (void)claim(0);
    if (phase_ == Phase::upgraded) return give_away();
    if (phase_ == Phase::streaming) return pump();
    // Let the peer read to the end before the connection goes; what it still sends is dropped.
    lingering_ = true;
    error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
    arm(kLingerTime, [this] { close(); });
  }

  Socket socket_;
  asio::steady_timer timer_;
  Options options_;
  http::RequestReader reader_{{.head_bytes = kHeaderLimit, .body_bytes = kBodyLimit}};
  std::array<char, kReadSize> buffer_{};
  Request request_;
  Phase phase_ = Phase::reading;
  bool chunked_ = true;
  bool lingering_ = false;
  std::size_t late_bytes_ = 0;
  std::string out_;
  std::string body_;  ///< of an answer, written after `out_`
  std::size_t body_limit_ = 0;
  StreamOptions stream_;
  std::function<void()> closed_;
  OnUpgrade on_upgrade_;
  std::atomic<bool> poked_{false};
};

}  // namespace

std::shared_ptr<Session> Session::create(asio::io_context& io, os::UniqueFd fd, Options options) {
  Socket socket{io};
  error_code failed;
  socket.assign(asio::generic::stream_protocol{options.peer ? AF_UNIX : AF_INET, 0}, fd.get(),
                failed);
  if (!failed) (void)fd.release();
  return std::make_shared<SessionImpl>(std::move(socket), std::move(options));
}

}  // namespace holdfast::agent::daemon
