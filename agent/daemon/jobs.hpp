#pragma once
#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

namespace holdfast::agent::daemon {

/// A few threads for what blocks (the ledger's files, logs), made when they are needed and gone
/// when they are not: an idle daemon keeps none. Thread safe. Destruction requests stop and joins.
class Jobs {
 public:
  using Job = std::function<void(const std::stop_token&)>;
  Jobs(std::string name, std::size_t threads, std::size_t waiting);
  ~Jobs();
  Jobs(const Jobs&) = delete;
  Jobs& operator=(const Jobs&) = delete;

  /// False when all threads are busy and as many jobs wait as may.
  [[nodiscard]] bool start(Job job);
  /// Requests stop, drops what waits, joins.
  void stop();

 private:
  void work(const std::stop_token& stop);
  void reap();

  std::string name_;
  std::size_t max_threads_;
  std::size_t max_waiting_;
  std::mutex mutex_;
  std::deque<Job> waiting_;
  std::list<std::jthread> threads_;
  std::list<std::thread::id> finished_;
  std::size_t running_ = 0;
  bool stopped_ = false;
};

}  // namespace holdfast::agent::daemon
