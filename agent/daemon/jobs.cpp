#include "agent/daemon/jobs.hpp"

#include <algorithm>

#include "common/os/process.hpp"

namespace holdfast::agent::daemon {

Jobs::Jobs(std::string name, std::size_t threads, std::size_t waiting)
    : name_(std::move(name)), max_threads_(threads), max_waiting_(waiting) {}

Jobs::~Jobs() { stop(); }

bool Jobs::start(Job job) {
  const std::lock_guard lock{mutex_};
  if (stopped_) return false;
  reap();
  if (running_ >= max_threads_ && waiting_.size() >= max_waiting_) return false;
  waiting_.push_back(std::move(job));
  if (running_ < max_threads_) {
    ++running_;
    threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
  }
  return true;
}

void Jobs::work(const std::stop_token& stop) {
  os::name_this_thread(name_.c_str());
  std::unique_lock lock{mutex_};
  while (!waiting_.empty()) {
    auto job = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    job(stop);
    job = {};
    lock.lock();
  }
  --running_;
  finished_.push_back(std::this_thread::get_id());
}

/// Joins threads that are at their end; under the lock, which they take no more.
void Jobs::reap() {
  threads_.remove_if([this](const std::jthread& thread) {
    return std::find(finished_.begin(), finished_.end(), thread.get_id()) != finished_.end();
  });
  finished_.clear();
}

void Jobs::stop() {
  std::list<std::jthread> threads;
  {
    const std::lock_guard lock{mutex_};
    stopped_ = true;
    waiting_.clear();
    threads = std::move(threads_);
    for (auto& thread : threads) thread.request_stop();
  }
  threads.clear();  // joins
}

}  // namespace holdfast::agent::daemon
