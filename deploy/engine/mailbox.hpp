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
  struct Message {
    std::function<void()> read;
    bool wakes = true;    ///< false: only what it says may ask for a pass
    bool urgent = false;  ///< read before the others
  };

  void post(std::function<void()> read, bool wakes = true) {
    bool first = false;
    {
      const std::lock_guard lock{mutex_};
      if (closed_) return;
      first = messages_.empty();
      messages_.push_back({std::move(read), wakes, false});
    }
    if (first || wakes) arrived_.notify_one();
  }

  /// Before all that are not urgent.
  void post_urgent(std::function<void()> read) {
    {
      const std::lock_guard lock{mutex_};
      if (closed_) return;
      const auto others = std::find_if(messages_.begin(), messages_.end(),
                                       [](const Message& each) { return !each.urgent; });
      messages_.insert(others, {std::move(read), true, true});
    }
    arrived_.notify_one();
  }

  /// None: no urgent one waits.
  [[nodiscard]] std::optional<Message> take_urgent() {
    const std::lock_guard lock{mutex_};
    if (messages_.empty() || !messages_.front().urgent) return std::nullopt;
    auto first = std::move(messages_.front());
    messages_.pop_front();
    return first;
  }

  /// All messages; waits for the first until `deadline` or stop, and where that does not wake it,
  /// for `gather` more, until one does: fifty probes that answer together wake an idle agent once.
  /// Empty: the time has come, or a stop was requested.
  [[nodiscard]] std::deque<Message> take(const Clock& clock, BootTime deadline,
                                         const std::stop_token& stop, Milliseconds gather) {
    std::unique_lock lock{mutex_};
    while (messages_.empty() && !stop.stop_requested()) {
      const auto left = deadline - clock.boot();
      if (left <= BootClock::duration::zero()) break;
      arrived_.wait_for(lock, stop, left, [&] { return !messages_.empty(); });
    }
    const auto waking = [&] {
      return std::any_of(messages_.begin(), messages_.end(),
                         [](const Message& each) { return each.wakes; });
    };
    if (!messages_.empty() && gather.count() > 0 && !waking())
      arrived_.wait_for(lock, stop, gather, waking);
    return std::exchange(messages_, {});
  }

  /// Reads what was taken, and before each of it what is urgent and came since: until all is read,
  /// or an urgent one was, or `slice` is over: what was asked for, and what is under way, goes on
  /// before the others are heard. What was not read stays in `taken`. Whether one of them asks for
  /// a pass.
  [[nodiscard]] bool read(std::deque<Message>& taken, const Clock& clock, Milliseconds slice,
                          const std::stop_token& stop) {
    bool wake = false;
    bool urgent = false;
    const auto began = clock.boot();
    while (!stop.stop_requested() && !urgent && clock.boot() - began < slice) {
      auto next = take_urgent();
      if (!next && taken.empty()) break;
      if (!next) {
        next = std::move(taken.front());
        taken.pop_front();
      }
      next->read();
      wake = wake || next->wakes;
      urgent = next->urgent;
    }
    return wake;
  }

  /// Nobody reads it any more: what waits is thrown away, and what comes later.
  void close() {
    std::deque<Message> left;
    const std::lock_guard lock{mutex_};
    closed_ = true;
    left.swap(messages_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any arrived_;
  std::deque<Message> messages_;
  bool closed_ = false;
};

}  // namespace holdfast::deploy::engine
