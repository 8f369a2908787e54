#include "deploy/engine/job_pool.hpp"

#include "common/os/process.hpp"

namespace holdfast::deploy::engine {

void JobPool::submit(Job job) {
  const std::lock_guard lock{mutex_};
  if (stopped_) return;
  waiting_.push_back(std::move(job));
  if (idle_ < waiting_.size() && threads_.size() < limit_) {
    const auto thread_name = name_ + "-" + std::to_string(threads_.size());
    threads_.emplace_back([this, thread_name](const std::stop_token& stop) {
      os::name_this_thread(thread_name.c_str());
      work(stop);
    });
  }
  arrived_.notify_one();
}

void JobPool::work(const std::stop_token& stop) {
  std::unique_lock lock{mutex_};
  while (!stop.stop_requested()) {
    ++idle_;
    const bool found = arrived_.wait(lock, stop, [&] { return !waiting_.empty(); });
    --idle_;
    if (!found) return;
    Job job = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    job(stop);
    job = nullptr;
    lock.lock();
  }
}

void JobPool::stop() {
  std::vector<std::jthread> threads;
  {
    const std::lock_guard lock{mutex_};
    stopped_ = true;
    waiting_.clear();
    threads = std::move(threads_);
  }
  for (auto& thread : threads) thread.request_stop();
  threads.clear();
}

}  // namespace holdfast::deploy::engine
