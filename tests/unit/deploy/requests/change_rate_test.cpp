#include "deploy/requests/change_rate.hpp"

#include <gmock/gmock.h>

#include "tests/support/fake_clock.hpp"

namespace holdfast::deploy::requests {
namespace {

using namespace std::chrono_literals;

const Actor kDeployer{"ann (uid 1000)", Actor::Role::deploy};

class ChangeRates : public ::testing::Test {
 protected:
  int taken(const Actor& actor, int tries = 1000) {
    int count = 0;
    for (int i = 0; i < tries; ++i)
      if (rate_.take(actor)) ++count;
    return count;
  }
  test::FakeClock clock_;
  ChangeRate rate_{{.of_one_actor = 60, .of_a_role = 240}, clock_};
};

TEST_F(ChangeRates, AnActorHasSoManyAtOnceAndThenAsManyAMinute) {
  EXPECT_EQ(taken(kDeployer), 60);
  const auto refused = rate_.take(kDeployer);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::rate_limited);
  EXPECT_NE(refused.error().next_step(), "");
  clock_.advance(1s);
  EXPECT_EQ(taken(kDeployer), 1);
  clock_.advance(10min);
  EXPECT_EQ(taken(kDeployer), 60) << "what was not used is not saved up";
}

TEST_F(ChangeRates, ManyActorsOfARoleHaveABoundTogetherAndTakeNothingFromOtherRoles) {
  int all = 0;
  for (int uid = 1001; uid < 1100; ++uid)
    all += taken({"x (uid " + std::to_string(uid) + ")", Actor::Role::rollback}, 60);
  EXPECT_EQ(all, 240);
  EXPECT_EQ(taken(kDeployer), 60);
}

TEST_F(ChangeRates, RootTheAgentAndTheHostsSourceAreNotCounted) {
  EXPECT_EQ(taken({"root (uid 0)", Actor::Role::root}), 1000);
  EXPECT_EQ(taken(Actor::source("source /etc/holdfast/deployment.yaml")), 1000);
  EXPECT_EQ(taken(kDeployer), 60);
}

}  // namespace
}  // namespace holdfast::deploy::requests
