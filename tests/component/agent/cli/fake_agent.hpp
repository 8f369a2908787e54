#pragma once
/// \file
/// An agent that says what a test wrote down: canned HTTP answers on a unix socket, and a record of
/// what was asked.

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"
#include "proto/api/operations.hpp"

namespace holdfast::test {

/// What goes over the wire, as it is.
struct Canned {
  std::string bytes;
  bool hold = false;  ///< keep the connection open until the agent ends
};

inline Canned json_answer(int status, const std::string& body) {
  return {"HTTP/1.1 " + std::to_string(status) +
              " X\r\nContent-Type: application/json\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body,
          false};
}

/// Server-sent events in chunks of one event each; `hold` leaves out the end of the stream.
inline Canned sse_answer(const std::vector<std::string>& events, bool hold) {
  std::string bytes =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const auto& data : events) {
    const auto chunk = "event: x\ndata: " + data + "\n\n";
    char size[32];
    std::snprintf(size, sizeof(size), "%zx\r\n", chunk.size());
    bytes += size + chunk + "\r\n";
  }
  return {hold ? bytes : bytes + "0\r\n\r\n", hold};
}

class FakeAgent {
 public:
  explicit FakeAgent(const std::string& path) {
    listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
        ::listen(listener_.get(), 16) != 0)
      detail::bad_result_access("the fake agent cannot listen");
    thread_ = std::thread{[this] { serve(); }};
  }
  ~FakeAgent() {
    stopping_ = true;
    thread_.join();
  }

  /// Answers to calls of an operation whose argument and query begin with `rest`, one after the
  /// other; the last one stays.
  template <proto::api::Literal kName>
  void on(std::deque<Canned> answers, const std::string& rest = "") {
    constexpr auto row = proto::api::Op<kName>::kRow;
    const auto path = row.path.substr(0, row.path.find("{}"));
    const std::scoped_lock lock{mutex_};
    answers_[std::string{to_string(row.method)} + " " + std::string{path} + rest] =
        std::move(answers);
  }
  /// First line and body of every request so far.
  [[nodiscard]] std::vector<std::string> requests() const {
    const std::scoped_lock lock{mutex_};
    return requests_;
  }

 private:
  void serve() {
    while (!stopping_) {
      pollfd wait{listener_.get(), POLLIN, 0};
      if (::poll(&wait, 1, 20) != 1) continue;
      os::UniqueFd peer{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
      if (peer) answer(std::move(peer));
    }
  }

  static std::string read_request(int fd) {
    std::string text;
    char buffer[4096];
    for (;;) {
      const auto end = text.find("\r\n\r\n");
      if (end != std::string::npos) {
        const auto at = text.find("Content-Length: ");
        const auto length = at == std::string::npos ? 0 : std::stoul(text.substr(at + 16));
        if (text.size() >= end + 4 + length)
          return text.substr(0, text.find(" HTTP/1.1")) + "\n" + text.substr(end + 4);
      }
      const auto got = ::read(fd, buffer, sizeof(buffer));
      if (got <= 0) return {};
      text.append(buffer, static_cast<std::size_t>(got));
    }
  }

  void answer(os::UniqueFd peer) {
    const auto request = read_request(peer.get());
    const std::scoped_lock lock{mutex_};
    requests_.push_back(request);
    Canned canned =
        json_answer(404, R"({"code":"E_NOT_FOUND","message":"no such path","next":""})");
    std::size_t longest = 0;
    for (auto& [prefix, answers] : answers_) {
      if (!request.starts_with(prefix) || prefix.size() < longest || answers.empty()) continue;
      longest = prefix.size();
      canned = answers.front();
      if (answers.size() > 1) answers.pop_front();
    }
    (void)::send(peer.get(), canned.bytes.data(), canned.bytes.size(), MSG_NOSIGNAL);
    if (canned.hold) held_.push_back(std::move(peer));
  }

  os::UniqueFd listener_;
  std::vector<os::UniqueFd> held_;
  mutable std::mutex mutex_;
  std::map<std::string, std::deque<Canned>> answers_;
  std::vector<std::string> requests_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace holdfast::test
