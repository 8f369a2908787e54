#include "tests/support/load/companions.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>

#include "common/os/process.hpp"
#include "common/os/unique_fd.hpp"
#include "tests/support/load/generator.hpp"

namespace holdfast::tests::load {
namespace {

constexpr Milliseconds kBeat{20};  ///< of holdfast-echo
constexpr Milliseconds kPatience{5'000};

sockaddr_in peer_of(const std::string& text, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, text.c_str(), &address.sin_addr);
  return address;
}

std::string word_of(int error) {
  return error == ECONNRESET || error == EPIPE     ? "reset"
         : error == ECONNREFUSED                   ? "refused"
         : error == EAGAIN || error == EWOULDBLOCK ? "timeout"
                                                   : fmt::format("error_{}", error);
}

/// A connected socket with time limits; invalid with errno set otherwise.
os::UniqueFd connected(int type, const std::string& from, const std::string& to,
                       std::uint16_t port) {
  os::UniqueFd fd{socket(AF_INET, type | SOCK_CLOEXEC, 0)};
  const int yes = 1;
  const timeval patience{kPatience.count() / 1000, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  setsockopt(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
  if (type == SOCK_STREAM) setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  const auto source = peer_of(from, 0);
  const auto target = peer_of(to, port);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&source), sizeof source) != 0 ||
      connect(fd.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target) != 0)
    fd.reset();
  return fd;
}

/// One answer with a Content-Length over a kept connection. Empty: good; else what went wrong.
std::string ask(int fd, const std::string& request) {
  if (send(fd, request.data(), request.size(), MSG_NOSIGNAL) < 0) return word_of(errno);
  std::string answer;
  std::array<char, 4096> buffer{};
  for (;;) {
    const auto end = answer.find("\r\n\r\n");
    if (end != std::string::npos) {
      const auto at = answer.find("Content-Length: ");
      const auto length =
          at == std::string::npos ? 0 : std::strtoul(answer.c_str() + at + 16, nullptr, 10);
      if (answer.size() >= end + 4 + length) return answer.substr(9, 3) == "200" ? "" : "status";
    }
    const auto got = recv(fd, buffer.data(), buffer.size(), 0);
    if (got == 0) return "closed";
    if (got < 0) return word_of(errno);
    answer.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

/// "17 200-359": so that a reader sees whether one moment lost many.
std::string spans_of(const std::set<std::uint64_t>& numbers) {
  std::string text;
  for (auto at = numbers.begin(); at != numbers.end();) {
    const auto first = *at;
    auto last = first;
    while (++at != numbers.end() && *at == last + 1) last = *at;
    text += text.empty() ? "" : " ";
    text += first == last ? std::to_string(first) : fmt::format("{}-{}", first, last);
  }
  return text;
}

/// Reads until the end; "complete", or what ended it. Looks at `stop` every 100 ms.
std::string drain(int fd, const std::stop_token& stop) {
  std::array<char, 4096> buffer{};
  while (!stop.stop_requested()) {
    pollfd ready{fd, POLLIN, 0};
    if (poll(&ready, 1, 100) == 0) continue;
    const auto got = recv(fd, buffer.data(), buffer.size(), 0);
    if (got == 0) return "complete";
    if (got < 0) return word_of(errno);
  }
  return "stopped";
}

}  // namespace

Companions::Companions(const Options& load, CompanionOptions options, const Clock& clock)
    : clock_(clock),
      address_(load.address),
      port_(load.port),
      path_(load.path),
      sources_(load.sources),
      options_(options) {
  for (std::size_t i = 0; i < options_.keep_alive; ++i)
    threads_.emplace_back([this, i](const std::stop_token& stop) { keep_alive(stop, i); });
  if (options_.echo_port == 0) return;
  threads_.emplace_back([this](const std::stop_token& stop) { download_short(stop); });
  threads_.emplace_back([this](const std::stop_token& stop) { send_datagrams(stop); });
  if (options_.long_download)
    threads_.emplace_back([this](const std::stop_token& stop) { download_long(stop); });
  if (options_.held) threads_.emplace_back([this](const std::stop_token& stop) { hold(stop); });
}

void Companions::stop() {
  for (auto& thread : threads_) thread.request_stop();
  threads_.clear();
}

std::string Companions::source(std::size_t number) const {
  return sources_.empty() ? "0.0.0.0" : sources_[number % sources_.size()];
}

void Companions::count(const std::string& what, const std::string& outcome) {
  const std::lock_guard lock{mutex_};
  ++counts_[what][outcome];
}

void Companions::keep_alive(const std::stop_token& stop, std::size_t number) {
  const auto request =
      fmt::format("GET {} HTTP/1.1\r\nHost: {}:{}\r\n\r\n", path_, address_, port_);
  while (!stop.stop_requested()) {
    const auto fd = connected(SOCK_STREAM, source(number), address_, port_);
    if (!fd) count("keep_alive", "failed: " + word_of(errno));
    const auto end = clock_.boot() + options_.keep_alive_for;
    while (fd && clock_.boot() < end && !stop.stop_requested()) {
      const auto fault = ask(fd.get(), request);
      // On a starved host an answer may take longer than the whole life of a connection should:
      // then it outlasts a drain of twice that, whose end resets it.
      const bool old = clock_.boot() > end + options_.keep_alive_for;
      count("keep_alive", fault.empty() ? "answered" : (old ? "outlasted: " : "failed: ") + fault);
      if (!fault.empty()) break;
      os::sleep_until(clock_.boot() + kBeat, stop);
    }
    if (!fd) os::sleep_until(clock_.boot() + kBeat, stop);
  }
}

void Companions::download_short(const std::stop_token& stop) {
  const auto request = fmt::format("get {}\n", options_.short_download / kBeat);
  while (!stop.stop_requested()) {
    const auto fd = connected(SOCK_STREAM, source(0), address_, options_.echo_port);
    if (!fd || send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) {
      count("short_downloads", "failed: " + word_of(errno));
      os::sleep_until(clock_.boot() + kBeat, stop);
      continue;
    }
    const auto outcome = drain(fd.get(), stop);
    if (outcome == "stopped") return;
    count("short_downloads", outcome == "complete" ? outcome : "failed: " + outcome);
  }
}

void Companions::download_long(const std::stop_token& stop) {
  const std::string request = "get 1000000\n";
  while (!stop.stop_requested()) {
    const auto fd = connected(SOCK_STREAM, source(1), address_, options_.echo_port);
    if (fd && send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) > 0) {
      count("long_downloads", "begun");
      count("long_downloads", drain(fd.get(), stop));
    } else {
      count("long_downloads", word_of(errno));
      os::sleep_until(clock_.boot() + kBeat, stop);
    }
  }
}

void Companions::hold(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const auto fd = connected(SOCK_STREAM, source(2), address_, options_.echo_port);
    count("held", fd ? "opened" : word_of(errno));
    if (fd) count("held", drain(fd.get(), stop));
    if (!fd) os::sleep_until(clock_.boot() + kBeat, stop);
  }
}

void Companions::send_datagrams(const std::stop_token& stop) {
  const auto fd = connected(SOCK_DGRAM, source(3), address_, options_.echo_port);
  if (!fd) return count("datagrams", "failed: " + word_of(errno));
  std::set<std::uint64_t> under_way;
  std::uint64_t number = 0;
  const auto receive = [&](Milliseconds wait) {
    pollfd ready{fd.get(), POLLIN, 0};
    std::array<char, 256> buffer{};
    while (poll(&ready, 1, static_cast<int>(wait.count())) > 0) {
      const auto got = recv(fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got <= 0) {
        // An ICMP error of an earlier datagram, which is then missing anyway.
        if (errno != ECONNREFUSED && errno != EHOSTUNREACH) return;
        continue;
      }
      const std::string text{buffer.data(), static_cast<std::size_t>(got)};
      const auto space = text.rfind(' ');
      const auto of =
          std::strtoull(text.c_str() + (space == std::string::npos ? 0 : space + 1), nullptr, 10);
      if (under_way.erase(of) == 1) {
        count("datagrams", "answered by " + text.substr(0, space));
        const std::lock_guard lock{mutex_};
        most_in_flight_ = std::max<std::uint64_t>(most_in_flight_, number - of + 1);
      }
      wait = Milliseconds{0};
    }
  };
  auto due = clock_.boot();
  while (!stop.stop_requested()) {
    const auto text = std::to_string(++number);
    if (send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) >= 0) {
      count("datagrams", "sent");
      under_way.insert(number);
    }
    due += options_.datagram_every;
    os::sleep_until(due, {});
    receive(Milliseconds{0});
  }
  const auto end = clock_.boot() + Milliseconds{500};
  while (!under_way.empty() && clock_.boot() < end) receive(Milliseconds{50});
  for (std::size_t i = 0; i < under_way.size(); ++i) count("datagrams", "lost");
  const std::lock_guard lock{mutex_};
  lost_ = spans_of(under_way);
}

std::uint64_t Companions::failures() const {
  const std::lock_guard lock{mutex_};
  std::uint64_t failed = 0;
  for (const auto& what : {"keep_alive", "short_downloads"}) {
    const auto found = counts_.find(what);
    if (found == counts_.end()) continue;
    for (const auto& [outcome, times] : found->second) {
      if (outcome.starts_with("failed")) failed += times;
    }
  }
  return failed;
}

std::string Companions::to_json() const {
  const std::lock_guard lock{mutex_};
  std::string text;
  for (const auto& [what, outcomes] : counts_) {
    std::string members;
    for (const auto& [outcome, times] : outcomes)
      members += fmt::format("{}\"{}\":{}", members.empty() ? "" : ",", outcome, times);
    text += fmt::format("{}\"{}\":{{{}}}", text.empty() ? "" : ",", what, members);
  }
  if (most_in_flight_ > 0) text += fmt::format(",\"most_datagrams_in_flight\":{}", most_in_flight_);
  if (!lost_.empty()) text += fmt::format(",\"lost_datagrams\":\"{}\"", lost_);
  return text;
}

}  // namespace holdfast::tests::load
