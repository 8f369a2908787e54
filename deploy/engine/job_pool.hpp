#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace holdfast::deploy::engine {

/// Threads for slow work, started when needed, at most `limit`; further jobs wait in order. Thread
/// safe.
class JobPool {
 public:
  using Job = std::function<void(const std::stop_token&)>;

  /// `name` is at most 10 characters; threads are called name-0, name-1, ….
  JobPool(std::string name, std::size_t limit) : name_(std::move(name)), limit_(limit) {}
  ~JobPool() { stop(); }

  void submit(Job job);
  /// Asks running jobs to stop, forgets waiting ones, joins. Repeat safe.
  void stop();

 private:
  void work(const std::stop_token& stop);

  std::string name_;
  std::size_t limit_;
  std::mutex mutex_;
  std::condition_variable_any arrived_;
  std::deque<Job> waiting_;
  std::size_t idle_ = 0;
  bool stopped_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace holdfast::deploy::engine
