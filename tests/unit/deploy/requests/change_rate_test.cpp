#include "deploy/engine/change_rate.hpp"

#include <gmock/gmock.h>

#include "tests/support/fake_clock.hpp"

namespace holdfast::deploy::engine {
namespace {

using namespace std::chrono_literals;

class ChangeRates : public ::testing::Test {
 protected:
  int taken(const std::string& actor, int tries = 1000) {
    int count = 0;
    for (int i = 0; i < tries; ++i)
      if (rate_.take(actor)) ++count;
    return count;
  }
  test::FakeClock clock_;
  ChangeRate rate_{{.of_one_actor = 60, .all = 240}, clock_};
};

TEST_F(ChangeRates, AnActorHasSoManyAtOnceAndThenAsManyAMinute) {
  EXPECT_EQ(taken("ann (uid 1000)"), 60);
  const auto refused = rate_.take("ann (uid 1000)");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::rate_limited);
  EXPECT_NE(refused.error().next_step(), "");
  clock_.advance(1s);
  EXPECT_EQ(taken("ann (uid 1000)"), 1);
  clock_.advance(10min);
  EXPECT_EQ(taken("ann (uid 1000)"), 60) << "what was not used is not saved up";
}

TEST_F(ChangeRates, ManyActorsHaveABoundTogether) {
  int all = 0;
  for (int uid = 1000; uid < 1100; ++uid) all += taken("x (uid " + std::to_string(uid) + ")", 60);
  EXPECT_EQ(all, 240);
}

TEST_F(ChangeRates, RootIsNotCounted) {
  EXPECT_EQ(taken("root (uid 0)"), 1000);
  EXPECT_EQ(taken("ann (uid 1000)"), 60);
}

}  // namespace
}  // namespace holdfast::deploy::engine
