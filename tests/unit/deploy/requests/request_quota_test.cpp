#include "deploy/requests/request_quota.hpp"

#include <gmock/gmock.h>

#include <vector>

namespace holdfast::deploy::requests {
namespace {

using ::testing::HasSubstr;
using Role = Actor::Role;

const Actor kRoot{"root (uid 0)", Role::root};
const Actor kAnn{"ann (uid 1)", Role::observe};
const Actor kBob{"bob (uid 2)", Role::observe};
const Actor kCid{"cid (uid 3)", Role::observe};

TEST(RequestQuota, GivesEachActorAFewPlacesAndAllTogetherNoMoreThanItsLimit) {
  RequestQuota quota{"plans", {.all = 3, .of_one_actor = 2}};
  ASSERT_TRUE(quota.take(kAnn));
  ASSERT_TRUE(quota.take(kAnn));
  const auto third = quota.take(kAnn);
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code(), Errc::busy);
  EXPECT_THAT(third.error().what(), HasSubstr("2 plans of ann"));
  ASSERT_TRUE(quota.take(kBob));
  EXPECT_THAT(quota.take(kCid).error().what(), HasSubstr("3 plans are under way"));
  ASSERT_TRUE(quota.take(kRoot)) << "root has places of his own";
  ASSERT_TRUE(quota.take(kRoot));
  EXPECT_FALSE(quota.take(kRoot));
  quota.give_back(kRoot);
  EXPECT_FALSE(quota.take(kCid)) << "which are nobody else's";
  quota.give_back(kAnn);
  EXPECT_TRUE(quota.take(kCid));
}

TEST(RequestQuota, ManyActorsOfARoleLeaveWhatIsKeptForTheOthers) {
  RequestQuota quota{"plans", {.all = 8, .of_one_actor = 2, .kept_for_each_role = 2}};
  std::vector<Actor> taken;
  for (int uid = 1; uid < 100; ++uid) {
    const Actor actor{"x (uid " + std::to_string(uid) + ")", Role::observe};
    if (quota.take(actor)) taken.push_back(actor);
  }
  EXPECT_EQ(taken.size(), 4U);
  for (const auto role : {Role::rollback, Role::deploy}) {
    const Actor actor{std::string{to_string(role)}, role};
    EXPECT_TRUE(quota.take(actor));
    EXPECT_TRUE(quota.take(actor));
  }
  EXPECT_TRUE(quota.take(kRoot));
  EXPECT_FALSE(quota.take(kAnn));
  quota.give_back(taken.front());
  EXPECT_TRUE(quota.take(kAnn));
}

}  // namespace
}  // namespace holdfast::deploy::requests
