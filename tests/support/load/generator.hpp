#pragma once
/// \file
/// Open-loop HTTP load: a new connection at a fixed interval, whatever became of the earlier ones.

#include <netinet/in.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"
#include "tests/support/load/tally.hpp"

namespace holdfast::tests::load {

struct Options {
  std::string address = "127.0.0.1";  ///< IPv4
  std::uint16_t port = 0;
  std::string path = "/";
  std::vector<std::string> sources;  ///< IPv4, used in turn; empty: the kernel chooses
  std::chrono::microseconds interval{2000};
  std::chrono::seconds duration{0};  ///< 0: until SIGTERM or SIGINT
  Milliseconds timeout{5000};        ///< for one request; longer is a failure
};

/// One thread, epoll. Every request is a connection of its own (HTTP/1.0) that must answer 200 with
/// a complete body.
class Generator {
 public:
  Generator(Options options, const Clock& clock);
  ~Generator();

  /// Runs to the end of the duration or to SIGTERM or SIGINT (which must be blocked in the
  /// process), then waits for the requests under way. Errors: usage for an address, io for a
  /// failing system call.
  [[nodiscard]] Status run();
  [[nodiscard]] const Tally& tally() const { return tally_; }

 private:
  struct Request;
  enum class Step : std::uint8_t { more, done };

  [[nodiscard]] Status prepare();
  void open_due();
  void open_one();
  [[nodiscard]] int start_connect(int fd);
  void handle(std::uint64_t id, std::uint32_t events);
  void send_request(Request& request, std::uint64_t id);
  [[nodiscard]] Step receive(Request& request);
  void conclude(Request& request);
  void fail(Request& request, std::string_view reason);
  void expire();
  [[nodiscard]] Instant now() const { return {clock_.wall(), clock_.boot()}; }

  Options options_;
  const Clock& clock_;
  Tally tally_;
  sockaddr_in target_{};
  std::vector<sockaddr_in> sources_;
  std::size_t next_source_ = 0;
  os::UniqueFd epoll_;
  os::UniqueFd ticks_;
  os::UniqueFd signals_;
  std::deque<std::unique_ptr<Request>> requests_;  ///< in the order of their start; null: finished
  std::uint64_t first_id_ = 0;                     ///< id of requests_.front()
  std::string message_;
};

}  // namespace holdfast::tests::load
