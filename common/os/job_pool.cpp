#include "common/os/job_pool.hpp"

#include <algorithm>

#include "common/os/process.hpp"

namespace holdfast::os {

JobPool::JobPool(std::string name, Bounds bounds) : name_(std::move(name)), bounds_(bounds) {}

bool JobPool::start(Job job) {
  const std::lock_guard lock{mutex_};
  const std::size_t jobs = busy_ + waiting_.size();
  const bool full = jobs >= bounds_.threads && jobs - bounds_.threads >= bounds_.waiting;
  if (stopped_ || full) return false;
  reap();
  waiting_.push_back(std::move(job));
  if (alive_ < std::min(bounds_.threads, jobs + 1)) add_thread();
  arrived_.notify_one();
  return true;
}

/// Under the lock.
void JobPool::add_thread() {
  const auto called = bounds_.threads > 1 ? name_ + "-" + std::to_string(alive_) : name_;
  ++alive_;
  threads_.emplace_back([this, called](const std::stop_token& stop) {
    name_this_thread(called.c_str());
    work(stop);
  });
}

void JobPool::work(const std::stop_token& stop) {
  std::unique_lock lock{mutex_};
  while (arrived_.wait_for(lock, stop, bounds_.linger, [this] { return !waiting_.empty(); })) {
    if (stop.stop_requested()) break;
    auto job = std::move(waiting_.front());
    waiting_.pop_front();
    ++busy_;
    lock.unlock();
    job(stop);
    job = nullptr;  // what it holds may take the pool's lock
    lock.lock();
    --busy_;
  }
  --alive_;
  ended_.push_back(std::this_thread::get_id());
}

/// Joins threads that are at their end; under the lock.
void JobPool::reap() {
  threads_.remove_if([this](const std::jthread& thread) {
    return std::find(ended_.begin(), ended_.end(), thread.get_id()) != ended_.end();
  });
  ended_.clear();
}

void JobPool::stop() {
  std::list<std::jthread> threads;
  {
    const std::lock_guard lock{mutex_};
    stopped_ = true;
    waiting_.clear();
    threads = std::move(threads_);
  }
  for (auto& thread : threads) thread.request_stop();
  threads.clear();  // joins
}

}  // namespace holdfast::os
