#include "deploy/image/pull/semaphore.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace holdfast::deploy::image {
namespace {

using namespace std::chrono_literals;

TEST(Semaphore, NoMoreThanTheirCountAreTakenAtATime) {
  Semaphore slots{2};
  std::atomic<int> inside = 0;
  std::atomic<int> most = 0;
  std::atomic<int> served = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 6; ++i) {
      threads.emplace_back([&] {
        auto place = slots.take({});
        ASSERT_TRUE(place);
        for (int seen = most, now = ++inside; now > seen;)
          if (most.compare_exchange_weak(seen, now)) break;
        std::this_thread::sleep_for(5ms);
        --inside;
        ++served;
      });
    }
  }
  EXPECT_EQ(served, 6);
  EXPECT_LE(most, 2);
}

TEST(Semaphore, APlaceIsFreeAgainOnceItIsGivenBack) {
  Semaphore slots{1};
  auto first = slots.take({});
  ASSERT_TRUE(first);
  first->give_back();
  auto second = slots.take({});
  ASSERT_TRUE(second);
  first->give_back();  // not twice: the second still has it
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(slots.take(stop.get_token()).error().code(), Errc::cancelled);
}

TEST(Semaphore, WhoWaitsIsCalledOff) {
  Semaphore slots{1};
  const auto held = slots.take({});
  ASSERT_TRUE(held);
  std::stop_source stop;
  const std::jthread later{[&] {
    std::this_thread::sleep_for(10ms);
    stop.request_stop();
  }};
  EXPECT_EQ(slots.take(stop.get_token()).error().code(), Errc::cancelled);
}

}  // namespace
}  // namespace holdfast::deploy::image
