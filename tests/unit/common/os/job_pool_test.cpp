#include "common/os/job_pool.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <filesystem>
#include <future>

#include "common/os/process.hpp"

namespace holdfast::os {
namespace {

using namespace std::chrono_literals;

/// Jobs that wait until they are let go, and how many of them run.
class Gate {
 public:
  JobPool::Job job() {
    return [this](const std::stop_token&) {
      const auto now = ++running_;
      for (auto most = most_.load(); most < now && !most_.compare_exchange_weak(most, now);) {
      }
      open_.wait();
      --running_;
      ++done_;
    };
  }
  void open() { promise_.set_value(); }
  [[nodiscard]] int most() const { return most_; }
  [[nodiscard]] int done() const { return done_; }

 private:
  std::promise<void> promise_;
  std::shared_future<void> open_{promise_.get_future()};
  std::atomic<int> running_{0};
  std::atomic<int> most_{0};
  std::atomic<int> done_{0};
};

/// Ends once all jobs given before have.
void drain(JobPool& pool) {
  std::promise<void> over;
  ASSERT_TRUE(pool.start([&](const std::stop_token&) { over.set_value(); }));
  ASSERT_EQ(over.get_future().wait_for(5s), std::future_status::ready);
}

TEST(JobPool, TakesWhatItHasRoomForAndNoMore) {
  Gate gate;
  JobPool pool{"pool", {.threads = 2, .waiting = 3}};
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(pool.start(gate.job())) << i;
  EXPECT_FALSE(pool.start(gate.job())) << "two run, three wait";
  gate.open();
  for (int i = 0; gate.done() < 5 && i < 500; ++i) std::this_thread::yield();
  pool.stop();
  EXPECT_LE(gate.most(), 2);
}

TEST(JobPool, WithoutRoomToWaitRefusesWhileItsThreadIsBusy) {
  Gate gate;
  JobPool pool{"pool", {.threads = 1}};
  ASSERT_TRUE(pool.start(gate.job()));
  EXPECT_FALSE(pool.start([](const std::stop_token&) {}));
  gate.open();
}

TEST(JobPool, RunsJobsInOrder) {
  std::string order;
  JobPool pool{"pool", {.threads = 1, .waiting = JobPool::kAnyNumber}};
  for (const char c : std::string{"abcdef"})
    ASSERT_TRUE(pool.start([&order, c](const std::stop_token&) { order += c; }));
  drain(pool);
  EXPECT_EQ(order, "abcdef");
}

std::ptrdiff_t threads_of_this_process() {
  const std::filesystem::directory_iterator tasks{"/proc/self/task"};
  return std::distance(begin(tasks), end(tasks));
}

TEST(JobPool, KeepsAThreadThatLingersAndEndsOneThatDoesNot) {
  const auto before = threads_of_this_process();
  JobPool lingering{"pool", {.threads = 1, .waiting = 4, .linger = 60s}};
  drain(lingering);
  EXPECT_EQ(threads_of_this_process(), before + 1);
  lingering.stop();  // does not wait for the minute
  JobPool brief{"pool", {.threads = 1, .waiting = 4}};
  drain(brief);
  for (int i = 0; i < 5000 && threads_of_this_process() != before; ++i)
    (void)sleep_until(SystemClock{}.boot() + 1ms, {});
  EXPECT_EQ(threads_of_this_process(), before);
  drain(brief);
}

TEST(JobPool, AtAStopTellsWhatRunsForgetsWhatWaitsAndTakesNothingMore) {
  std::atomic<bool> forgotten{true};
  std::promise<void> began;
  JobPool pool{"pool", {.threads = 1, .waiting = 8}};
  ASSERT_TRUE(pool.start([&](const std::stop_token& stop) {
    began.set_value();
    while (!stop.stop_requested()) std::this_thread::yield();
  }));
  ASSERT_TRUE(pool.start([&](const std::stop_token&) { forgotten = false; }));
  began.get_future().wait();
  pool.stop();
  EXPECT_TRUE(forgotten);
  EXPECT_FALSE(pool.start([](const std::stop_token&) {}));
  pool.stop();
}

}  // namespace
}  // namespace holdfast::os
