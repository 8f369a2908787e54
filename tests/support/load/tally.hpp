#pragma once
/// \file
/// What a load run saw: counts, latencies, gaps, and when each version answered first and last.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"

namespace holdfast::tests::load {

/// One point in time on both clocks: people and logs use the first, durations the second.
struct Instant {
  WallTime wall;
  BootTime boot;
};

/// Gathers the outcomes of requests. Not thread safe.
class Tally {
 public:
  /// A complete 200 answer whose body began with `line`.
  void answered(std::string_view line, Instant started, Instant finished);
  /// Anything else. `reason` is a short word: "connect_refused", "reset", "timeout", "status_500".
  void failed(std::string_view reason, int source_port, Instant started, Instant finished);

  /// One JSON object, one line; the times are milliseconds unless their name says otherwise.
  [[nodiscard]] std::string to_json() const;
  [[nodiscard]] std::uint64_t failures() const { return failed_; }
  [[nodiscard]] std::uint64_t requests() const { return failed_ + latencies_us_.size(); }

 private:
  struct Answers {
    std::uint64_t count = 0;
    Instant first;
    Instant last;
  };
  struct Failure {
    std::string reason;
    int source_port = 0;
    Instant started;
    Instant finished;
  };

  std::map<std::string, Answers, std::less<>> answers_;
  std::map<std::string, std::uint64_t, std::less<>> reasons_;
  std::vector<Failure> examples_;  ///< the first few
  std::vector<std::uint32_t> latencies_us_;
  std::uint64_t failed_ = 0;
  BootTime last_answer_{};
  BootTime gap_start_{};
  std::chrono::nanoseconds longest_gap_{0};
};

}  // namespace holdfast::tests::load
