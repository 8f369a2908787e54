#include "deploy/image/upkeep/job_queue.hpp"

#include <gtest/gtest.h>

namespace holdfast::deploy::image {
namespace {

TEST(JobQueue, NumbersJobsAndSaysForWhomTheyWait) {
  JobQueue queue;
  EXPECT_TRUE(queue.empty());
  const auto first = queue.join("pull", "root (uid 0)");
  EXPECT_EQ(first->number, 1U);
  EXPECT_EQ(first->waits_for, "");
  EXPECT_EQ(queue.join("gc", "ann (uid 7)")->waits_for, "pull of root (uid 0)");
  queue.leave();
  const auto third = queue.join("verify", "root (uid 0)");
  EXPECT_EQ(third->number, 3U);
  EXPECT_EQ(third->waits_for, "gc of ann (uid 7)");
  queue.leave();
  queue.leave();
  EXPECT_TRUE(queue.empty());
}

TEST(JobQueue, LetsEightWaitAndTellsTheNextForWhat) {
  JobQueue queue;
  ASSERT_TRUE(queue.join("export", "root (uid 0)"));
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(queue.join("pull", "root (uid 0)")) << i;
  const auto refused = queue.join("pull", "root (uid 0)");
  EXPECT_EQ(refused.error().code(), Errc::busy);
  EXPECT_NE(refused.error().what().find("8 jobs wait"), std::string::npos);
  EXPECT_NE(refused.error().what().find("export of root (uid 0)"), std::string::npos);
  queue.leave();
  EXPECT_EQ(queue.join("pull", "root (uid 0)")->number, 10U) << "a refused one took no number";
}

}  // namespace
}  // namespace holdfast::deploy::image
