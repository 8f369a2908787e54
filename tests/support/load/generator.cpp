#include "tests/support/load/generator.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include <array>
#include <cerrno>
#include <csignal>

namespace holdfast::tests::load {
namespace {

constexpr std::uint64_t kTicks = ~std::uint64_t{0};
constexpr std::uint64_t kSignals = kTicks - 1;
constexpr std::size_t kMaxAnswer = 64 * 1024;

Result<sockaddr_in> address_of(const std::string& text, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (inet_pton(AF_INET, text.c_str(), &address.sin_addr) != 1) {
    return Error{Errc::usage, fmt::format("\"{}\" is not an IPv4 address", text)};
  }
  return address;
}

std::string_view reason_of(int error) {
  switch (error) {
    case ECONNREFUSED:
      return "connect_refused";
    case ECONNRESET:
    case EPIPE:
      return "reset";
    case ETIMEDOUT:
      return "connect_timeout";
    case EHOSTUNREACH:
    case ENETUNREACH:
      return "unreachable";
    case EADDRNOTAVAIL:
      return "out_of_ports";
    case EMFILE:
    case ENFILE:
      return "out_of_descriptors";
    default:
      return "other_error";
  }
}

/// Length that the header promises, or -1 when it does not say.
long content_length(std::string_view head) {
  for (const std::string_view name :
       {"\r\nContent-Length: ", "\r\ncontent-length: ", "\r\nContent-length: "}) {
    const auto at = head.find(name);
    if (at != std::string_view::npos)
      return std::strtol(head.data() + at + name.size(), nullptr, 10);
  }
  return -1;
}

Status watch(int epoll, int fd, std::uint32_t events, std::uint64_t id) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) return Error{Errc::io, "epoll_ctl failed"};
  return ok();
}

}  // namespace

struct Generator::Request {
  os::UniqueFd fd;
  Instant started;
  int source_port = 0;
  bool sent = false;
  std::string answer;
};

Generator::Generator(Options options, const Clock& clock)
    : options_(std::move(options)), clock_(clock) {}
Generator::~Generator() = default;

Status Generator::prepare() {
  HF_ASSIGN(target_, address_of(options_.address, options_.port));
  for (const auto& source : options_.sources) {
    HF_ASSIGN(const auto address, address_of(source, 0));
    sources_.push_back(address);
  }
  message_ = fmt::format("GET {} HTTP/1.0\r\nHost: {}:{}\r\nConnection: close\r\n\r\n",
                         options_.path, options_.address, options_.port);
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  ticks_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  signals_.reset(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!epoll_ || !ticks_ || !signals_)
    return Error{Errc::io, "cannot make epoll, timer or signal descriptors"};
  itimerspec every{};
  every.it_interval.tv_sec = options_.interval.count() / 1'000'000;
  every.it_interval.tv_nsec = options_.interval.count() % 1'000'000 * 1000;
  every.it_value = every.it_interval;
  if (timerfd_settime(ticks_.get(), 0, &every, nullptr) != 0)
    return Error{Errc::usage, "the interval is not usable"};
  HF_TRY(watch(epoll_.get(), ticks_.get(), EPOLLIN, kTicks));
  return watch(epoll_.get(), signals_.get(), EPOLLIN, kSignals);
}

Status Generator::run() {
  HF_TRY(prepare());
  const auto begin = clock_.boot();
  bool opening = true;
  std::array<epoll_event, 256> events;
  while (opening || !requests_.empty()) {
    const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 20);
    if (count < 0 && errno != EINTR) return Error{Errc::io, "epoll_wait failed"};
    for (int i = 0; i < count; i++) {
      const auto& event = events[static_cast<std::size_t>(i)];
      if (event.data.u64 == kSignals) {
        opening = false;
      } else if (event.data.u64 == kTicks) {
        if (opening) open_due();
      } else {
        handle(event.data.u64, event.events);
      }
    }
    if (opening && options_.duration.count() > 0 && clock_.boot() - begin >= options_.duration)
      opening = false;
    if (!opening && ticks_) ticks_.reset();
    expire();
  }
  return ok();
}

void Generator::open_due() {
  std::uint64_t due = 0;
  if (read(ticks_.get(), &due, sizeof due) != sizeof due) return;
  for (; due > 0; due--) open_one();
}

void Generator::open_one() {
  auto request = std::make_unique<Request>();
  request->started = now();
  request->fd.reset(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  int error = request->fd ? start_connect(request->fd.get()) : errno;
  const std::uint64_t id = first_id_ + requests_.size();
  if (error == 0 && !watch(epoll_.get(), request->fd.get(), EPOLLIN | EPOLLOUT | EPOLLRDHUP, id))
    error = EMFILE;
  requests_.push_back(std::move(request));
  if (error != 0) {
    fail(*requests_.back(), reason_of(error));
    requests_.back().reset();
  }
}

int Generator::start_connect(int fd) {
  const int yes = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (!sources_.empty()) {
    // The port is chosen at connect, per destination, so that a port in TIME_WAIT elsewhere does
    // not count.
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    const auto& source = sources_[next_source_++ % sources_.size()];
    if (bind(fd, reinterpret_cast<const sockaddr*>(&source), sizeof source) != 0) return errno;
  }
  if (connect(fd, reinterpret_cast<const sockaddr*>(&target_), sizeof target_) != 0 &&
      errno != EINPROGRESS) {
    return errno;
  }
  return 0;
}

void Generator::handle(std::uint64_t id, std::uint32_t events) {
  if (id < first_id_ || id - first_id_ >= requests_.size()) return;
  auto& slot = requests_[id - first_id_];
  if (!slot) return;
  if (!slot->sent && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) send_request(*slot, id);
  if (slot->fd && (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0 &&
      receive(*slot) == Step::done) {
    slot->fd.reset();
  }
  if (!slot->fd) slot.reset();
}

void Generator::send_request(Request& request, std::uint64_t id) {
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(request.fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  if (error == 0) {
    sockaddr_in local{};
    socklen_t size = sizeof local;
    getsockname(request.fd.get(), reinterpret_cast<sockaddr*>(&local), &size);
    request.source_port = ntohs(local.sin_port);
    const auto sent = send(request.fd.get(), message_.data(), message_.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(message_.size())) error = sent < 0 ? errno : EPIPE;
  }
  if (error != 0) {
    fail(request, reason_of(error));
    request.fd.reset();
    return;
  }
  request.sent = true;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP;
  event.data.u64 = id;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, request.fd.get(), &event);
}

Generator::Step Generator::receive(Request& request) {
  std::array<char, 4096> buffer;
  while (true) {
    const auto got = recv(request.fd.get(), buffer.data(), buffer.size(), 0);
    if (got > 0) {
      request.answer.append(buffer.data(), static_cast<std::size_t>(got));
      if (request.answer.size() <= kMaxAnswer) continue;
      fail(request, "too_long");
    } else if (got == 0) {
      conclude(request);
    } else if (errno == EAGAIN) {
      return Step::more;
    } else if (errno == EINTR) {
      continue;
    } else {
      fail(request, reason_of(errno));
    }
    return Step::done;
  }
}

void Generator::conclude(Request& request) {
  const std::string_view answer = request.answer;
  const auto end = answer.find("\r\n\r\n");
  if (answer.empty()) return fail(request, "empty_answer");
  if (end == std::string_view::npos || answer.size() < 12) return fail(request, "truncated");
  if (answer.substr(9, 3) != "200")
    return fail(request, fmt::format("status_{}", answer.substr(9, 3)));
  const auto body = answer.substr(end + 4);
  const auto promised = content_length(answer.substr(0, end + 2));
  if (promised >= 0 && body.size() != static_cast<std::size_t>(promised))
    return fail(request, "truncated");
  tally_.answered(body.substr(0, body.find('\n')), request.started, now());
}

void Generator::fail(Request& request, std::string_view reason) {
  tally_.failed(reason, request.source_port, request.started, now());
}

void Generator::expire() {
  const auto limit = clock_.boot() - options_.timeout;
  while (!requests_.empty()) {
    auto& oldest = requests_.front();
    if (oldest && oldest->started.boot > limit) return;
    if (oldest) fail(*oldest, oldest->sent ? "timeout" : "connect_timeout");
    requests_.pop_front();
    first_id_++;
  }
}

}  // namespace holdfast::tests::load
