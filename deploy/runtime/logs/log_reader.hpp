#pragma once
/// \file
/// Reads what services wrote, across their instances and the halves of rotated files, in order of
/// time.

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/os/fair_mutex.hpp"
#include "deploy/runtime/logs/log_line.hpp"

namespace holdfast::deploy::runtime {

enum class Follow : std::uint8_t { no, yes };

struct LogQuery {
  proto::ServiceName service;
  std::optional<WallTime> since;
  std::optional<std::size_t> tail;  ///< only the last so many lines (after `since`)
  Follow follow = Follow::no;
  /// Held while there is work, also in the sink, and passed on with every piece of it (64 lines, 64
  /// KiB), so that all readers together keep one processor busy. A sink that waits unlocks it
  /// meanwhile. None: nobody else reads.
  os::FairMutex* turn = nullptr;
};

/// Takes one line; false ends the reading.
using LogSink = std::function<bool(const LogLine&)>;

/// Independent of a running agent: it needs the directory only. Thread safe.
class LogReader {
 public:
  /// `logs`: state_dir/logs.
  explicit LogReader(std::filesystem::path logs) : logs_(std::move(logs)) {}

  /// Lines as the sink takes them. With `follow` it blocks until `stop` or the sink ends it, goes
  /// over rotations and takes in instances that appear; a line arrives within 250 ms. What is
  /// longer than 16 KiB comes in pieces, each but the last `partial`. Ends without `follow` at what
  /// was there when it began. Memory: 256 KiB, and 100 KiB for each instance, whatever `tail` is
  /// and however long the lines are. Errors: not_found (no output of such a service), io.
  [[nodiscard]] Status read(const LogQuery& query, const LogSink& sink,
                            const std::stop_token& stop) const;

 private:
  std::filesystem::path logs_;
};

}  // namespace holdfast::deploy::runtime
