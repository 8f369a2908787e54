#include "deploy/probe/prober.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <functional>
#include <thread>

#include "common/os/process.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::deploy::probe {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr std::uint32_t kLoopback = 0x7F000001;

/// Lets `behave` loose on every connection, in a thread, until destroyed. It may read the request
/// from `fd`.
class Server {
 public:
  explicit Server(std::function<void(int fd)> behave)
      : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(kLoopback);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    EXPECT_EQ(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    EXPECT_EQ(listen(listener_.get(), 8), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread{[this, behave = std::move(behave)](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        pollfd wait{listener_.get(), POLLIN, 0};
        if (poll(&wait, 1, 20) != 1) continue;
        const os::UniqueFd peer{accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
        behave(peer.get());
      }
    }};
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  os::UniqueFd listener_;
  std::uint16_t port_ = 0;
  std::jthread thread_;
};

std::string request_from(int fd) {
  std::array<char, 4096> buffer{};
  const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
  return {buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
}

std::function<void(int)> answers(std::string text) {
  return [text = std::move(text)](int fd) {
    (void)request_from(fd);
    (void)send(fd, text.data(), text.size(), MSG_NOSIGNAL);
  };
}

Outcome get(const Server& server, const std::string& path = "/healthz",
            std::optional<int> status = {}, std::optional<std::string> body = {}) {
  return probe_http(
      {.port = server.port(), .path = path, .status = status, .body = std::move(body)}, kLoopback,
      500ms, {});
}

TEST(Prober, AGoodAnswerIsASuccess) {
  const Server server{answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")};
  const auto outcome = get(server);
  EXPECT_EQ(outcome.verdict, Verdict::success);
  EXPECT_EQ(outcome.detail, fmt::format("GET :{}/healthz → 200", server.port()));
  EXPECT_GT(outcome.duration.count(), 0);
}

TEST(Prober, TheStatusDecides) {
  const Server server{answers("HTTP/1.1 500 Oh\x1b[31m no\r\nContent-Length: 0\r\n\r\n")};
  const auto outcome = get(server);
  EXPECT_EQ(outcome.verdict, Verdict::failure);
  EXPECT_EQ(outcome.detail, fmt::format("GET :{}/healthz → 500", server.port()));
  EXPECT_EQ(get(server, "/", 500).verdict, Verdict::success);
  EXPECT_EQ(get(server, "/", 204).detail, fmt::format("GET :{}/ → 500, not 204", server.port()));
}

TEST(Prober, RedirectsCountAsWellUnlessOneStatusIsAskedFor) {
  const Server server{answers("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")};
  EXPECT_EQ(get(server).verdict, Verdict::success);
  EXPECT_EQ(get(server, "/", 200).verdict, Verdict::failure);
}

TEST(Prober, TheBodyMustHoldTheText) {
  const Server server{answers(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nrea\r\n2\r\ndy\r\n0\r\n\r\n")};
  EXPECT_EQ(get(server, "/", {}, "ready").verdict, Verdict::success);
  const auto outcome = get(server, "/", {}, "rea\ndy");
  EXPECT_EQ(outcome.verdict, Verdict::failure);
  EXPECT_THAT(outcome.detail, HasSubstr(R"(→ 200, but "rea\x0ady" is not in the body)"));
}

TEST(Prober, TheRequestIsPlainHttpAndAPathCannotBreakOut) {
  std::string seen;
  {
    const Server server{[&](int fd) {
      seen = request_from(fd);
      (void)send(fd, "HTTP/1.1 204 x\r\n\r\n", 18, MSG_NOSIGNAL);
    }};
    EXPECT_EQ(get(server, "a b\r\nX: y").verdict, Verdict::success);
    EXPECT_THAT(seen, HasSubstr(fmt::format("Host: 127.0.0.1:{}\r\n", server.port())));
  }
  EXPECT_THAT(seen, testing::StartsWith("GET /a%20b%0D%0AX:%20y HTTP/1.1\r\n"));
  EXPECT_THAT(seen, HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(seen, testing::EndsWith("\r\n\r\n"));
}

TEST(Prober, TheHostAndTheHeadersOfTheDocumentAreSent) {
  std::string seen;
  {
    const Server server{[&](int fd) {
      seen = request_from(fd);
      (void)send(fd, "HTTP/1.1 204 x\r\n\r\n", 18, MSG_NOSIGNAL);
    }};
    const proto::HttpProbe probe{
        .port = server.port(),
        .path = "/up",
        .status = {},
        .body = {},
        .host = "shop.example",
        .headers = {{"X-Forwarded-Proto", "https"}, {"accept", "text/plain"}}};
    EXPECT_EQ(probe_http(probe, 0x7F000001, Milliseconds{2'000}, {}).verdict, Verdict::success);
  }
  EXPECT_THAT(seen, testing::StartsWith("GET /up HTTP/1.1\r\nHost: shop.example\r\n"));
  EXPECT_THAT(seen, HasSubstr("X-Forwarded-Proto: https\r\n"));
  EXPECT_THAT(seen, HasSubstr("accept: text/plain\r\n"));
  EXPECT_THAT(seen, testing::Not(HasSubstr("Accept: */*")));
}

TEST(Prober, TheOutputOfACommandIsShortAndPrintable) {
  EXPECT_EQ(output_text(""), "");
  EXPECT_EQ(output_text("\n \n"), "");
  EXPECT_EQ(output_text("no server\nat \x1b[2J:1\n"), R"(: no server / at \x1b[2J:1)");
  const auto longest = output_text(std::string(5'000, 'x'));
  EXPECT_EQ(longest, ": " + std::string(200, 'x') + "…");
}

TEST(Prober, ARefusedConnectionSaysSo) {
  std::uint16_t port = 0;
  {
    const Server gone{[](int) {}};
    port = gone.port();
  }
  EXPECT_EQ(probe_tcp({.port = port}, kLoopback, 500ms, {}).detail,
            fmt::format("connect 127.0.0.1:{}: connection refused", port));
  EXPECT_EQ(probe_http({.port = port}, kLoopback, 500ms, {}).verdict, Verdict::failure);
}

TEST(Prober, TcpSucceedsWhenSomebodyAccepts) {
  const Server server{[](int) {}};
  const auto outcome = probe_tcp({.port = server.port()}, kLoopback, 500ms, {});
  EXPECT_EQ(outcome.verdict, Verdict::success);
  EXPECT_EQ(outcome.detail, fmt::format("connect 127.0.0.1:{}", server.port()));
}

TEST(Prober, ASilentPeerTimesOutInTime) {
  const Server server{[](int fd) {
    (void)request_from(fd);
    pollfd wait{fd, POLLRDHUP, 0};
    poll(&wait, 1, 2000);
  }};
  const auto outcome = probe_http({.port = server.port()}, kLoopback, 100ms, {});
  EXPECT_EQ(outcome.verdict, Verdict::timeout);
  EXPECT_EQ(outcome.detail, fmt::format("GET :{}/: no answer within 100ms", server.port()));
  EXPECT_GE(outcome.duration, 100ms);
  EXPECT_LT(outcome.duration, 400ms);
}

TEST(Prober, APeerThatDripsItsAnswerTimesOutInTime) {
  const Server server{[](int fd) {
    (void)request_from(fd);
    constexpr std::string_view kAnswer = "HTTP/1.1 200 OK";
    for (std::size_t i = 0;
         i < 100 && send(fd, &kAnswer[std::min(i, kAnswer.size() - 1)], 1, MSG_NOSIGNAL) == 1; ++i)
      os::sleep_until(SystemClock{}.boot() + 20ms, {});
  }};
  const auto outcome = probe_http({.port = server.port()}, kLoopback, 150ms, {});
  EXPECT_EQ(outcome.verdict, Verdict::timeout);
  EXPECT_LT(outcome.duration, 500ms);
}

TEST(Prober, AnEndlessBodyIsHealthyWhenOnlyTheStatusMatters) {
  const Server server{[](int fd) {
    (void)request_from(fd);
    (void)send(fd, "HTTP/1.1 200 OK\r\n\r\n", 19, MSG_NOSIGNAL);
    const std::string piece(8192, 'x');
    while (send(fd, piece.data(), piece.size(), MSG_NOSIGNAL) > 0) {
    }
  }};
  EXPECT_EQ(get(server).verdict, Verdict::success);
  EXPECT_EQ(get(server, "/", {}, "y").verdict, Verdict::failure)
      << "the first 64 KiB are looked at, no more";
}

TEST(Prober, SomethingElseThanHttpIsAFailureAtOnce) {
  const Server server{[](int fd) {
    (void)send(fd, "SSH-2.0-x\x07\r\n", 12, MSG_NOSIGNAL);
    pollfd w{fd, POLLRDHUP, 0};
    poll(&w, 1, 1000);
  }};
  const auto outcome = get(server);
  EXPECT_EQ(outcome.verdict, Verdict::failure);
  EXPECT_EQ(outcome.detail, fmt::format("GET :{}/healthz: not an HTTP response", server.port()));
}

TEST(Prober, AStopEndsAProbeSoon) {
  const Server server{[](int fd) {
    (void)request_from(fd);
    pollfd wait{fd, POLLRDHUP, 0};
    poll(&wait, 1, 3000);
  }};
  std::stop_source stop;
  std::jthread stopper{[&] {
    os::sleep_until(SystemClock{}.boot() + 50ms, {});
    stop.request_stop();
  }};
  const auto outcome = probe_http({.port = server.port()}, kLoopback, 10s, stop.get_token());
  EXPECT_EQ(outcome.verdict, Verdict::failure);
  EXPECT_THAT(outcome.detail, HasSubstr("stopped"));
  EXPECT_LT(outcome.duration, 1s);
}

TEST(Prober, AnAddressThatNeverAnswersTimesOut) {
  // TEST-NET-1 (RFC 5737): dropped, or unreachable at once where there is no route.
  const auto outcome = probe_tcp({.port = 9}, 0xC0000263, 100ms, {});
  EXPECT_NE(outcome.verdict, Verdict::success);
  EXPECT_LT(outcome.duration, 1s);
}

}  // namespace
}  // namespace holdfast::deploy::probe
