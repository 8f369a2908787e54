#include "tests/support/load/tally.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace holdfast::tests::load {
namespace {

constexpr std::size_t kExamples = 20;

double milliseconds(std::chrono::nanoseconds span) {
  return static_cast<double>(span.count()) / 1e6;
}

/// JSON string of text that a server sent: control characters become visible, quotes are escaped.
std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte > 0x7E) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

/// Milliseconds at `share` of the sorted latencies.
double percentile(const std::vector<std::uint32_t>& sorted_us, double share) {
  if (sorted_us.empty()) return 0;
  const auto index = static_cast<std::size_t>(share * static_cast<double>(sorted_us.size() - 1));
  return static_cast<double>(sorted_us[index]) / 1000;
}

std::string instant_fields(std::string_view name, Instant instant) {
  return fmt::format("\"{0}_ms\":{1},\"{0}_boot_ns\":{2}", name,
                     instant.wall.time_since_epoch().count(),
                     instant.boot.time_since_epoch().count());
}

}  // namespace

void Tally::answered(std::string_view line, Instant started, Instant finished) {
  auto found = answers_.find(line);
  if (found == answers_.end()) {
    found = answers_.emplace(std::string(line), Answers{0, finished, finished}).first;
  }
  found->second.count++;
  found->second.last = finished;
  const auto latency =
      std::chrono::duration_cast<std::chrono::microseconds>(finished.boot - started.boot);
  latencies_us_.push_back(static_cast<std::uint32_t>(latency.count()));
  if (last_answer_ != BootTime{} && finished.boot - last_answer_ > longest_gap_) {
    longest_gap_ = finished.boot - last_answer_;
    gap_start_ = last_answer_;
  }
  last_answer_ = finished.boot;
}

void Tally::failed(std::string_view reason, int source_port, Instant started, Instant finished) {
  failed_++;
  reasons_[std::string(reason)]++;
  if (examples_.size() < kExamples) {
    examples_.push_back({std::string(reason), source_port, started, finished});
  }
}

std::string Tally::to_json() const {
  auto sorted = latencies_us_;
  std::sort(sorted.begin(), sorted.end());
  std::string reasons;
  for (const auto& [reason, count] : reasons_) {
    reasons += fmt::format("{}{}:{}", reasons.empty() ? "" : ",", json_quoted(reason), count);
  }
  std::string answers;
  for (const auto& [line, seen] : answers_) {
    answers += fmt::format("{}{}:{{\"count\":{},{},{}}}", answers.empty() ? "" : ",",
                           json_quoted(line), seen.count, instant_fields("first", seen.first),
                           instant_fields("last", seen.last));
  }
  std::string examples;
  for (const auto& failure : examples_) {
    examples += fmt::format("{}{{\"reason\":{},\"source_port\":{},{},{}}}",
                            examples.empty() ? "" : ",", json_quoted(failure.reason),
                            failure.source_port, instant_fields("started", failure.started),
                            instant_fields("finished", failure.finished));
  }
  return fmt::format(
      "{{\"requests\":{},\"failed\":{},\"reasons\":{{{}}},\"longest_gap_ms\":{:.3f},\"gap_start_"
      "boot_ns\":{},"
      "\"latency_ms\":{{\"p50\":{:.3f},\"p99\":{:.3f},\"max\":{:.3f}}},\"answers\":{{{}}},"
      "\"failures\":[{}]}}",
      requests(), failed_, reasons, milliseconds(longest_gap_),
      gap_start_.time_since_epoch().count(), percentile(sorted, 0.5), percentile(sorted, 0.99),
      percentile(sorted, 1), answers, examples);
}

}  // namespace holdfast::tests::load
