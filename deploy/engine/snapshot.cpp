#include "deploy/engine/snapshot.hpp"

#include <algorithm>

namespace holdfast::deploy::engine {

void Histogram::observe(double value) {
  const auto bucket = std::lower_bound(bounds.begin(), bounds.end(), value) - bounds.begin();
  ++counts[static_cast<std::size_t>(bucket)];
  sum += value;
}

void EventLog::publish(proto::api::Event event) {
  std::vector<std::function<void()>> wakers;
  {
    const std::lock_guard lock{mutex_};
    event.number = next_++;
    if (ring_.size() == capacity_)
      ring_.erase(ring_.begin(), ring_.begin() + static_cast<std::ptrdiff_t>(capacity_ / 4));
    ring_.push_back(std::move(event));
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
