#include "deploy/image/upkeep/job_queue.hpp"

#include <gtest/gtest.h>

namespace holdfast::deploy::image {
namespace {

TEST(JobQueue, NumbersJobsAndSaysForWhomTheyWait) {
  JobQueue queue;
  EXPECT_TRUE(queue.empty(Lane::store));
  const auto first = queue.join(Lane::store, "pull", "root (uid 0)");
  EXPECT_EQ(first->number, 1U);
  EXPECT_EQ(first->waits_for, "");
  EXPECT_EQ(queue.join(Lane::store, "gc", "ann (uid 7)")->waits_for, "pull of root (uid 0)");
  queue.leave(Lane::store);
  const auto third = queue.join(Lane::store, "verify", "root (uid 0)");
  EXPECT_EQ(third->number, 3U);
  EXPECT_EQ(third->waits_for, "gc of ann (uid 7)");
  queue.leave(Lane::store);
  queue.leave(Lane::store);
  EXPECT_TRUE(queue.empty(Lane::store));
}

TEST(JobQueue, LetsEightWaitAndTellsTheNextForWhat) {
  JobQueue queue;
  ASSERT_TRUE(queue.join(Lane::store, "export", "root (uid 0)"));
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(queue.join(Lane::store, "pull", "root (uid 0)")) << i;
  const auto refused = queue.join(Lane::store, "pull", "root (uid 0)");
  EXPECT_EQ(refused.error().code(), Errc::busy);
  EXPECT_NE(refused.error().what().find("8 jobs wait"), std::string::npos);
  EXPECT_NE(refused.error().what().find("export of root (uid 0)"), std::string::npos);
  queue.leave(Lane::store);
  EXPECT_EQ(queue.join(Lane::store, "pull", "root (uid 0)")->number, 10U)
      << "a refused one took no number";
}

TEST(JobQueue, NoneOfOneLaneWaitsForTheOther) {
  JobQueue queue;
  ASSERT_TRUE(queue.join(Lane::network, "pull", "root (uid 0)"));
  const auto collection = queue.join(Lane::store, "gc", "root (uid 0)");
  EXPECT_EQ(collection->waits_for, "");
  EXPECT_EQ(collection->number, 2U);
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(queue.join(Lane::network, "pull", "root (uid 0)"));
  EXPECT_FALSE(queue.join(Lane::network, "pull", "root (uid 0)"));
  EXPECT_TRUE(queue.join(Lane::store, "gc", "root (uid 0)"));
  queue.leave(Lane::store);
  queue.leave(Lane::store);
  EXPECT_TRUE(queue.empty(Lane::store));
  EXPECT_FALSE(queue.empty(Lane::network));
}

}  // namespace
}  // namespace holdfast::deploy::image
