#include "agent/daemon/session.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

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
constexpr std::uint64_t kBodyLimit = 2U << 20;
constexpr auto kRequestTime = seconds{10};
constexpr auto kAnswerTime = seconds{60};
constexpr auto kWriteTime = seconds{30};
constexpr auto kLingerTime = seconds{2};
constexpr auto kHeartbeat = seconds{15};
constexpr std::size_t kReadSize = 4096;

Response refusal(unsigned status, Errc code, std::string what) {
  auto response = error_response(Error{code, std::move(what)});
  response.status = status;
  return response;
}

Response parse_refusal(const http::RequestReader& reader) {
  if (reader.fault() == http::Fault::body_too_large)
    return refusal(413, Errc::too_large,
                   fmt::format("the request body is larger than {}", human_bytes(kBodyLimit)));
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

  void poke() override {
    if (poked_.exchange(true)) return;  // one is on its way
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
      self->poked_ = false;
      self->pump();
    });
  }

 private:
  enum class Phase { reading, waiting, streaming, finishing, closed };

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
    if (phase_ == Phase::closed) return;
    if (phase_ != Phase::reading) return on_late_read(failed, got);
    if (failed) return close();
    reader_.feed({buffer_.data(), got});
    const bool wrong = reader_.fault() != http::Fault::none;
    if (!wrong && !reader_.done()) return read();
    read();  // from here on to notice that the peer went away
    if (wrong) return answer(parse_refusal(reader_));
    dispatch();
  }

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
    request_.peer = options_.peer;
    chunked_ = message.takes_chunks;
    if (reader_.left_over() > 0)
      return answer(refusal(400, Errc::usage, "there are bytes after the end of the request"));
    if (auto parsed = parse_target(message.target, request_); !parsed)
      return answer(error_response(parsed.error()));
    phase_ = Phase::waiting;
    arm(kAnswerTime,
        [this] { answer(refusal(504, Errc::timed_out, "the engine did not answer within 60 s")); });
    options_.handler(shared_from_this());
  }

  void answer(Response response) {
    if (phase_ != Phase::reading && phase_ != Phase::waiting) return;
    phase_ = Phase::finishing;
    out_ = http::response_head(response.status,
                               {{"Content-Type", response.content_type},
                                {"Content-Length", fmt::format("{}", response.body.size())},
                                {"Cache-Control", "no-store"},
                                {"Connection", "close"},
                                {"Allow", response.allow}});
    out_ += response.body;
    write();
  }

  void begin_stream(StreamOptions options) {
    if (phase_ != Phase::waiting) return;
    phase_ = Phase::streaming;
    stream_ = std::move(options);
    out_ = http::response_head(200, {{"Content-Type", stream_.content_type},
                                     {"Cache-Control", "no-store"},
                                     {"Connection", "close"},
                                     {"Transfer-Encoding", chunked_ ? "chunked" : ""}});
    write();
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
    arm(kWriteTime, [this] { close(); });
    asio::async_write(socket_, asio::buffer(out_),
                      [self = shared_from_this()](const error_code& failed, std::size_t) {
                        self->on_written(failed);
                      });
  }

  void on_written(const error_code& failed) {
    if (phase_ == Phase::closed) return;
    if (failed) return close();
    out_ = {};
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
  StreamOptions stream_;
  std::function<void()> closed_;
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
