#include "deploy/engine/state/events.hpp"

#include <algorithm>

namespace holdfast::deploy::engine {
namespace {

constexpr std::size_t kEventBytes = 512U << 10;

std::size_t size_of(const proto::api::Event& event) {
  return sizeof(event) + event.time.size() + event.kind.size() + event.service.size() +
         event.message.size() + event.detail.size();
}

}  // namespace

void EventLog::publish(proto::api::Event event) {
  std::vector<std::function<void()>> wakers;
  {
    const std::lock_guard lock{mutex_};
    event.number = next_++;
    bytes_ += size_of(event);
    ring_.push_back(std::move(event));
    // Popped, not moved down: a small event that is moved to where a large one was keeps its
    // memory.
    while (ring_.size() > capacity_ || (bytes_ > kEventBytes && ring_.size() > 1)) {
      bytes_ -= size_of(ring_.front());
      ring_.pop_front();
    }
    wakers.reserve(wakers_.size());
    for (const auto& [token, wake] : wakers_) wakers.push_back(wake);
  }
  for (const auto& wake : wakers) wake();
}

std::vector<proto::api::Event> EventLog::after(std::uint64_t number, std::size_t limit) const {
  const std::lock_guard lock{mutex_};
  const auto first =
      std::find_if(ring_.begin(), ring_.end(), [&](const auto& e) { return e.number > number; });
  const auto count = std::min<std::size_t>(limit, static_cast<std::size_t>(ring_.end() - first));
  return {first, first + static_cast<std::ptrdiff_t>(count)};
}

std::uint64_t EventLog::last() const {
  const std::lock_guard lock{mutex_};
  return next_ - 1;
}

std::uint64_t EventLog::subscribe(std::function<void()> wake) {
  const std::lock_guard lock{mutex_};
  wakers_.emplace(next_token_, std::move(wake));
  return next_token_++;
}

void EventLog::unsubscribe(std::uint64_t token) {
  const std::lock_guard lock{mutex_};
  wakers_.erase(token);
}

}  // namespace holdfast::deploy::engine
