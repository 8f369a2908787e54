#include "deploy/image/upkeep/job_queue.hpp"

#include <gtest/gtest.h>

namespace holdfast::deploy::image {
namespace {

using Role = Actor::Role;
const Actor kRoot{"root (uid 0)", Role::root};
const Actor kAnn{"ann (uid 7)", Role::deploy};

TEST(JobQueue, NumbersJobsAndSaysForWhomTheyWait) {
  JobQueue queue;
  EXPECT_TRUE(queue.empty(Lane::store));
  const auto first = queue.join(Lane::store, "pull", kRoot);
  EXPECT_EQ(first->number, 1U);
  EXPECT_EQ(first->waits_for, "");
  EXPECT_EQ(queue.join(Lane::store, "gc", kAnn)->waits_for, "pull of root (uid 0)");
  queue.leave(Lane::store);
  const auto third = queue.join(Lane::store, "verify", kRoot);
  EXPECT_EQ(third->number, 3U);
  EXPECT_EQ(third->waits_for, "gc of ann (uid 7)");
  queue.leave(Lane::store);
  queue.leave(Lane::store);
  EXPECT_TRUE(queue.empty(Lane::store));
}

TEST(JobQueue, LetsFourOfAnActorWaitAndTellsTheNextForWhat) {
  JobQueue queue;
  ASSERT_TRUE(queue.join(Lane::store, "export", kAnn));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(queue.join(Lane::store, "gc", kAnn)) << i;
  const auto refused = queue.join(Lane::store, "gc", kAnn);
  EXPECT_EQ(refused.error().code(), Errc::busy);
  EXPECT_NE(refused.error().what().find("4 jobs on the image store of ann"), std::string::npos)
      << refused.error().what();
  EXPECT_NE(refused.error().what().find("export of ann (uid 7)"), std::string::npos);
  queue.leave(Lane::store);
  EXPECT_EQ(queue.join(Lane::store, "gc", kAnn)->number, 5U) << "a refused one took no number";
}

TEST(JobQueue, WhoeverWaitsRootAndEachRoleFindPlaces) {
  JobQueue queue;
  int taken = 0;
  for (int uid = 1; uid < 100; ++uid)
    if (queue.join(Lane::store, "verify", {"x (uid " + std::to_string(uid) + ")", Role::observe}))
      ++taken;
  EXPECT_EQ(taken, 6);
  EXPECT_TRUE(queue.join(Lane::store, "gc", kRoot));
  EXPECT_TRUE(queue.join(Lane::store, "gc", kAnn));
  EXPECT_TRUE(queue.join(Lane::store, "gc", {"bob (uid 8)", Role::rollback}));
  EXPECT_FALSE(queue.join(Lane::store, "gc", {"cid (uid 9)", Role::deploy}));
}

TEST(JobQueue, NoneOfOneLaneWaitsForTheOther) {
  JobQueue queue;
  ASSERT_TRUE(queue.join(Lane::network, "pull", kRoot));
  const auto collection = queue.join(Lane::store, "gc", kRoot);
  EXPECT_EQ(collection->waits_for, "");
  EXPECT_EQ(collection->number, 2U);
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(queue.join(Lane::network, "pull", kRoot));
  EXPECT_FALSE(queue.join(Lane::network, "pull", kRoot));
  EXPECT_TRUE(queue.join(Lane::store, "gc", kRoot));
  queue.leave(Lane::store);
  queue.leave(Lane::store);
  EXPECT_TRUE(queue.empty(Lane::store));
  EXPECT_FALSE(queue.empty(Lane::network));
}

}  // namespace
}  // namespace holdfast::deploy::image
