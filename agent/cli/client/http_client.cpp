#include "agent/cli/client/http_client.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "common/base/text.hpp"
#include "common/http/reader.hpp"
#include "common/http/text.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::agent::cli {
namespace {

constexpr std::size_t kBodyLimit = 64U << 20;
constexpr std::uint32_t kHeaderLimit = 32U << 10;
constexpr std::size_t kReadSize = 64U << 10;
/// How long it waits among other clients for the agent to take its connection.
constexpr Milliseconds kLongestQueue{10'000};

enum class Wants : short { read = POLLIN, write = POLLOUT };

Error cannot_connect(int error_number, const std::filesystem::path& socket) {
  const auto where = printable(socket.string());
  if (error_number == EACCES || error_number == EPERM)
    return Error{Errc::perm, fmt::format("not allowed to talk to the agent on {}", where)}.hint(
        "run this as root, or as a member of a group that agent.yaml names under \"groups\"");
  if (error_number == EAGAIN)
    return Error{Errc::unreachable,
                 fmt::format("the agent on {} takes no connection: others come faster", where)}
        .hint("try again; `ss -xp` names who connects");
  const char* why = error_number == ENOENT         ? "there is no such socket"
                    : error_number == ECONNREFUSED ? "nobody listens there"
                                                   : std::strerror(error_number);
  return Error{Errc::unreachable, fmt::format("no agent answers on {}: {}", where, why)}.hint(
      "start it with \"systemctl start holdfastd\", or name its socket with --socket or "
      "HOLDFAST_SOCKET");
}

/// Waits in the kernel's queue, in turn, while more clients come than the agent takes. Then it is
/// as the streams need it: non-blocking.
Result<os::UniqueFd> connect_to(const std::filesystem::path& socket, Milliseconds patience) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto path = socket.string();
  if (path.empty() || path.size() >= sizeof(address.sun_path))
    return Error{Errc::usage, fmt::format("socket path \"{}\" is empty or longer than {} bytes",
                                          printable(path), sizeof(address.sun_path) - 1)};
  std::memcpy(address.sun_path, path.data(), path.size());
  os::UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!fd) return errno_error(errno, "make a socket");
  const auto wait = std::clamp(patience, Milliseconds{1}, kLongestQueue).count();
  const timeval limit{.tv_sec = wait / 1000, .tv_usec = (wait % 1000) * 1000};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0)
    return errno_error(errno, "limit the wait for the agent");
  int done = 0;
  do {
    done = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  } while (done != 0 && errno == EINTR);
  if (done != 0) return cannot_connect(errno, socket);
  if (::fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) return errno_error(errno, "make a socket");
  return fd;
}

std::string encode(const HttpRequest& request) {
  const bool has_body = !request.body.empty() || request.method == "POST";
  const auto length = has_body ? fmt::format("{}", request.body.size()) : std::string{};
  return http::request_head(request.method, request.target,
                            {{"Host", "holdfast"},
                             {"User-Agent", "holdfast/" HOLDFAST_VERSION},
                             {"Accept", "*/*"},
                             {"Connection", request.upgrade.empty() ? "close" : "Upgrade"},
                             {"Upgrade", request.upgrade},
                             {"Content-Type", has_body ? "application/json" : ""},
                             {"Content-Length", length}}) +
         request.body;
}

int milliseconds_until(BootTime deadline, BootTime now) {
  const auto left = std::chrono::ceil<Milliseconds>(deadline - now).count();
  return static_cast<int>(std::clamp<Milliseconds::rep>(left, 0, 3'600'000));
}

}  // namespace

struct HttpStream::State {
  State(const Clock& the_clock, os::UniqueFd the_fd, int the_interrupt,
        std::string_view the_next_step)
      : clock(the_clock),
        fd(std::move(the_fd)),
        interrupt(the_interrupt),
        if_cut_off(the_next_step) {}

  Status wait_for(Wants wants, std::optional<BootTime> deadline);
  Status write_all(std::string_view data, std::optional<BootTime> deadline);
  /// Reads once and feeds the parser. At the end of the connection `finished` or an error.
  Status read_some(std::optional<BootTime> deadline);
  Status feed(std::string_view bytes);
  Status end_of_connection();

  const Clock& clock;
  os::UniqueFd fd;
  int interrupt;
  std::string if_cut_off;
  http::ResponseReader reader{{.head_bytes = kHeaderLimit, .body_bytes = std::nullopt}};
};

Status HttpStream::State::wait_for(Wants wants, std::optional<BootTime> deadline) {
  for (;;) {
    std::array<pollfd, 2> fds{pollfd{fd.get(), static_cast<short>(wants), 0},
                              pollfd{interrupt, POLLIN, 0}};
    const int timeout = deadline ? milliseconds_until(*deadline, clock.boot()) : -1;
    const int ready = ::poll(fds.data(), interrupt >= 0 ? 2 : 1, timeout);
    if (ready < 0 && errno != EINTR) return errno_error(errno, "wait for the agent");
    if (ready > 0 && interrupt >= 0 && fds[1].revents != 0)
      return Error{Errc::cancelled, "interrupted"};
    if (ready > 0) return ok();
    if (ready == 0 && deadline && clock.boot() >= *deadline)
      return Error{Errc::timed_out, "the agent did not answer in time"}.hint(
          "look at \"journalctl -u holdfastd\"");
  }
}

Status HttpStream::State::write_all(std::string_view data, std::optional<BootTime> deadline) {
  while (!data.empty()) {
    const auto sent = ::send(fd.get(), data.data(), data.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      data.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      HF_TRY(wait_for(Wants::write, deadline));
    } else if (errno == EPIPE || errno == ECONNRESET) {
      return ok();  // it may have answered already (a refusal); reading will tell
    } else if (errno != EINTR) {
      return errno_error(errno, "send to the agent");
    }
  }
  return ok();
}

Status HttpStream::State::feed(std::string_view bytes) {
  reader.feed(bytes);
  if (reader.fault() == http::Fault::none) return ok();
  return Error{Errc::internal,
               fmt::format("the agent's answer is not HTTP: {}", reader.fault_text())}
      .hint("check that the socket belongs to holdfastd");
}

Status HttpStream::State::end_of_connection() {
  reader.end();
  if (reader.done()) return ok();
  return Error{Errc::unreachable, "the agent closed the connection before its answer was complete"}
      .hint(if_cut_off);
}

Status HttpStream::State::read_some(std::optional<BootTime> deadline) {
  for (;;) {
    std::array<char, kReadSize> buffer;
    const auto got = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (got > 0) return feed({buffer.data(), static_cast<std::size_t>(got)});
    if (got == 0 || errno == ECONNRESET) return end_of_connection();
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      HF_TRY(wait_for(Wants::read, deadline));
    } else if (errno != EINTR) {
      return errno_error(errno, "read from the agent");
    }
  }
}

HttpStream::HttpStream(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpStream::HttpStream(HttpStream&&) noexcept = default;
HttpStream& HttpStream::operator=(HttpStream&&) noexcept = default;
HttpStream::~HttpStream() = default;

unsigned HttpStream::status() const { return state_->reader.message().status; }

std::string HttpStream::content_type() const { return state_->reader.message().content_type; }

Result<std::optional<std::string>> HttpStream::next(std::optional<BootTime> deadline) {
  auto& body = state_->reader.message().body;
  while (body.empty() && !state_->reader.done()) HF_TRY(state_->read_some(deadline));
  if (body.empty()) return std::optional<std::string>{};
  return std::optional<std::string>{std::exchange(body, {})};
}

Connection HttpStream::take_connection() && {
  auto first = state_->reader.take_left_over();
  return {std::move(state_->fd), std::move(first)};
}

Result<HttpStream> HttpClient::open(const HttpRequest& request, Milliseconds timeout) const {
  const auto deadline = clock_.boot() + timeout;
  HF_ASSIGN(auto fd,
            connect_to(options_.socket, std::chrono::ceil<Milliseconds>(deadline - clock_.boot())));
  auto state = std::make_unique<HttpStream::State>(clock_, std::move(fd), options_.interrupt_fd,
                                                   request.if_cut_off);
  HF_TRY(state->write_all(encode(request), deadline));
  while (!state->reader.head_done()) HF_TRY(state->read_some(deadline));
  return HttpStream{std::move(state)};
}

Result<HttpResponse> HttpClient::send(const HttpRequest& request, Milliseconds timeout) const {
  const auto deadline = clock_.boot() + timeout;
  HF_ASSIGN(auto stream, open(request, timeout));
  HttpResponse response{stream.status(), stream.content_type(), {}};
  for (;;) {
    HF_ASSIGN(auto piece, stream.next(deadline));
    if (!piece) return response;
    response.body += *piece;
    if (response.body.size() > kBodyLimit)
      return Error{Errc::too_large, fmt::format("the agent's answer to {} is larger than {}",
                                                request.target, human_bytes(kBodyLimit))};
  }
}

}  // namespace holdfast::agent::cli
