#pragma once
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
    {
      const std::lock_guard lock{mutex_};
      letters_.push_back({std::move(read), stirs});
    }
    arrived_.notify_one();
  }

  /// All letters; waits for the first until `deadline` or stop. Empty: the time has come, or a stop
  /// was requested.
  [[nodiscard]] std::deque<Letter> take(const Clock& clock, BootTime deadline,
                                        const std::stop_token& stop) {
    std::unique_lock lock{mutex_};
    while (letters_.empty() && !stop.stop_requested()) {
      const auto left = deadline - clock.boot();
      if (left <= BootClock::duration::zero()) break;
      arrived_.wait_for(lock, stop, left, [&] { return !letters_.empty(); });
    }
    return std::exchange(letters_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any arrived_;
  std::deque<Letter> letters_;
};

}  // namespace holdfast::deploy::engine
