#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "proto/api/messages.hpp"

namespace holdfast::deploy::engine {

/// The last events, at most `capacity` of them and 512 KiB, and who waits for more. Thread safe.
class EventLog {
 public:
  explicit EventLog(std::size_t capacity = 2048) : capacity_(capacity) {}

  /// Numbers the event and keeps it; wakes subscribers.
  void publish(proto::api::Event event);
  /// Events with number > `after`, oldest first. What has fallen out of the ring is missing.
  [[nodiscard]] std::vector<proto::api::Event> after(std::uint64_t number, std::size_t limit) const;
  [[nodiscard]] std::uint64_t last() const;
  /// `wake` is called after each publish, from the publishing thread, and must be quick. Returns a
  /// token for `unsubscribe`.
  std::uint64_t subscribe(std::function<void()> wake);
  void unsubscribe(std::uint64_t token);

 private:
  mutable std::mutex mutex_;
  std::size_t capacity_;
  std::size_t bytes_ = 0;
  std::uint64_t next_ = 1;
  std::deque<proto::api::Event> ring_;
  std::map<std::uint64_t, std::function<void()>> wakers_;
  std::uint64_t next_token_ = 1;
};

}  // namespace holdfast::deploy::engine
