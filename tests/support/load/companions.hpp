#pragma once
/// \file
/// What else a service has to do with beside short requests: clients that keep their connection, a
/// long download, a connection on which nothing happens, datagrams. A thread each, blocking calls.

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/base/clock.hpp"
#include "tests/support/load/tally.hpp"

namespace holdfast::tests::load {

struct Options;

struct CompanionOptions {
  std::uint32_t keep_alive = 0;      ///< clients that send many requests over one connection
  Milliseconds keep_alive_for{500};  ///< life of each of their connections
  std::uint16_t echo_port = 0;       ///< of holdfast-echo; 0: none of the following
  Milliseconds short_download{400};  ///< must be complete
  bool long_download = false;        ///< until it is reset, then a new one
  bool held = false;                 ///< an idle connection until it is reset, then a new one
  std::chrono::microseconds datagram_every{2000};
};

/// Starts with the constructor, ends with `stop`. The counts are thread safe.
class Companions {
 public:
  Companions(const Options& load, CompanionOptions options, const Clock& clock);
  ~Companions() { stop(); }

  /// Ends every client; waits for datagrams under way. Repeat safe.
  void stop();
  /// Members of a JSON object: "keep_alive":{…},"downloads":{…},"held":{…},"datagrams":{…}
  [[nodiscard]] std::string to_json() const;
  /// Requests over kept connections, and short downloads, that failed.
  [[nodiscard]] std::uint64_t failures() const;

 private:
  void keep_alive(const std::stop_token& stop, std::size_t number);
  void download_short(const std::stop_token& stop);
  void download_long(const std::stop_token& stop);
  void hold(const std::stop_token& stop);
  void send_datagrams(const std::stop_token& stop);
  void count(const std::string& what, const std::string& outcome);
  [[nodiscard]] std::string source(std::size_t number) const;

  const Clock& clock_;
  std::string address_;
  std::uint16_t port_;
  std::string path_;
  std::vector<std::string> sources_;
  CompanionOptions options_;
  mutable std::mutex mutex_;
  std::map<std::string, std::map<std::string, std::uint64_t>> counts_;
  std::uint64_t most_in_flight_ = 0;  ///< datagrams that waited for an answer and got it
  std::string lost_;                  ///< numbers of the datagrams that were
  std::vector<std::jthread> threads_;
};

}  // namespace holdfast::tests::load
