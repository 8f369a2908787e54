#pragma once
#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>

#include "common/base/clock.hpp"

namespace holdfast::deploy::engine {

/// The only way into the engine thread: closures, in order. Thread safe.
class Mailbox {
 public:
  struct Letter {
    std::function<void()> read;
    bool stirs = true;  ///< false: only what it says may ask for a turn
  };

  void post(std::function<void()> read, bool stirs = true) {
    bool first = false;
    {
      const std::lock_guard lock{mutex_};
      first = letters_.empty();
      letters_.push_back({std::move(read), stirs});
    }
    if (first || stirs) arrived_.notify_one();
  }

  /// All letters; waits for the first until `deadline` or stop, and where that does not stir, for
  /// `gather` more, until one does: fifty probes that answer together wake an idle agent once.
  /// Empty: the time has come, or a stop was requested.
  [[nodiscard]] std::deque<Letter> take(const Clock& clock, BootTime deadline,
                                        const std::stop_token& stop, Milliseconds gather) {
    std::unique_lock lock{mutex_};
    while (letters_.empty() && !stop.stop_requested()) {
      const auto left = deadline - clock.boot();
      if (left <= BootClock::duration::zero()) break;
      arrived_.wait_for(lock, stop, left, [&] { return !letters_.empty(); });
    }
    const auto stirring = [&] {
      return std::any_of(letters_.begin(), letters_.end(),
                         [](const Letter& each) { return each.stirs; });
    };
    if (!letters_.empty() && gather.count() > 0 && !stirring())
      arrived_.wait_for(lock, stop, gather, stirring);
    return std::exchange(letters_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any arrived_;
  std::deque<Letter> letters_;
};

}  // namespace holdfast::deploy::engine
