#pragma once
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <limits>
#include <list>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "common/base/clock.hpp"

namespace holdfast::os {

/// A few threads for what blocks, started when there is work for them; further jobs wait in order.
/// Thread safe. Destruction asks running jobs to stop and joins.
class JobPool {
 public:
  using Job = std::function<void(const std::stop_token&)>;

  /// For pools whose users bound the number of jobs themselves.
  static constexpr std::size_t kAnyNumber = std::numeric_limits<std::size_t>::max();

  struct Bounds {
    std::size_t threads = 1;   ///< most jobs that run at a time
    std::size_t waiting = 0;   ///< most jobs that wait besides those
    Milliseconds linger = {};  ///< how long a thread without work stays for the next job
  };

  /// `name` is at most 13 characters; of several threads each is called name-0, name-1, ….
  JobPool(std::string name, Bounds bounds);
  ~JobPool() { stop(); }
  JobPool(const JobPool&) = delete;
  JobPool& operator=(const JobPool&) = delete;

  /// False when as many jobs run and wait as may, or after `stop`: the job is dropped.
  [[nodiscard]] bool start(Job job);
  /// Asks running jobs to stop, drops waiting ones, joins. Repeat safe.
  void stop();

 private:
  void work(const std::stop_token& stop);
  void add_thread();
  void reap();

  const std::string name_;
  const Bounds bounds_;
  std::mutex mutex_;
  std::condition_variable_any arrived_;
  std::deque<Job> waiting_;
  std::list<std::jthread> threads_;
  std::vector<std::thread::id> ended_;  ///< of `threads_`: they take the lock no more
  std::size_t alive_ = 0;               ///< threads that may take another job
  std::size_t busy_ = 0;                ///< of those, with a job
  bool stopped_ = false;
};

}  // namespace holdfast::os
