#include "deploy/engine/state/events.hpp"

#include <gtest/gtest.h>
#include <malloc.h>

namespace holdfast::deploy::engine {
namespace {

proto::api::Event event(std::size_t detail) {
  proto::api::Event made;
  made.kind = "result";
  made.detail.assign(detail, 'x');
  return made;
}

TEST(EventLog, HoldsNoMoreMemoryThanItCounts) {
  constexpr std::size_t kCounted = 512U << 10;
  EventLog log;
  const auto before = ::mallinfo2().uordblks;
  for (int i = 0; i < 40'000; ++i) log.publish(event(i % 15 == 0 ? 2'000 : 0));
  const auto held = ::mallinfo2().uordblks - before;
  EXPECT_LT(held, 2 * kCounted) << "a small event may sit on the memory of a large one";
}

TEST(EventLog, GivesWhatFollowsANumberAndForgetsTheOldest) {
  EventLog log{8};
  for (int i = 0; i < 20; ++i) log.publish(event(1));
  EXPECT_EQ(log.last(), 20U);
  const auto all = log.after(0, 100);
  ASSERT_FALSE(all.empty());
  EXPECT_LE(all.size(), 8U);
  EXPECT_EQ(all.back().number, 20U);
  EXPECT_EQ(all.front().number, 20U - all.size() + 1);
  EXPECT_EQ(log.after(19, 100).size(), 1U);
  EXPECT_EQ(log.after(0, 2).size(), 2U);
}

}  // namespace
}  // namespace holdfast::deploy::engine
