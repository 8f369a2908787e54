#pragma once
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace holdfast::os {

/// A mutex that is given in the order in which it was asked for, so that who unlocks it and locks
/// it again lets everybody else go first: for long work in pieces, one thread's at a time. Meets
/// BasicLockable. Thread safe.
class FairMutex {
 public:
  void lock() {
    std::unique_lock lock{mutex_};
    const auto mine = next_++;
    passed_on_.wait(lock, [&] { return mine == serving_; });
  }
  void unlock() {
    {
      const std::lock_guard lock{mutex_};
      ++serving_;
    }
    passed_on_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable passed_on_;
  std::uint64_t next_ = 0;
  std::uint64_t serving_ = 0;
};

}  // namespace holdfast::os
