#pragma once
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <stop_token>
#include <utility>

#include "common/base/result.hpp"

namespace holdfast::deploy::image {

/// A bounded number of places for what may go on at the same time. Thread safe; places must end
/// before it does.
class Semaphore {
 public:
  explicit Semaphore(std::size_t count) : free_(count) {}

  /// Gives its place back at its end, or before.
  class Place {
   public:
    explicit Place(Semaphore& of) : of_(&of) {}
    Place(Place&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
    Place& operator=(Place&&) = delete;
    ~Place() { give_back(); }
    void give_back() {
      if (of_ != nullptr) std::exchange(of_, nullptr)->give_back();
    }

   private:
    Semaphore* of_;
  };

  /// Waits for a place. Errors: cancelled when `stop` is requested before there is one.
  [[nodiscard]] Result<Place> take(const std::stop_token& stop) {
    std::unique_lock lock{mutex_};
    if (!given_back_.wait(lock, stop, [&] { return free_ > 0; }))
      return Error{Errc::cancelled, "wait for other layers"};
    --free_;
    return Place{*this};
  }

 private:
  void give_back() {
    {
      const std::lock_guard lock{mutex_};
      ++free_;
    }
    given_back_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable_any given_back_;
  std::size_t free_;
};

}  // namespace holdfast::deploy::image
