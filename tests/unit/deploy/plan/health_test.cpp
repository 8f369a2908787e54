#include <gtest/gtest.h>

#include "deploy/plan/plan.hpp"

namespace holdfast::deploy::plan {
namespace {

using namespace std::chrono_literals;

proto::HealthRule rule() {
  proto::HealthRule made;
  made.interval = 1s;
  made.start_period = 0s;
  made.healthy = 2;
  made.unhealthy = 3;
  return made;
}

TEST(Health, FailuresOfEagerProbesDoNotCountBeforeTheDeclaredPaceCouldHaveSeenThem) {
  Health health;
  for (const auto age : {10ms, 20ms, 40ms, 300ms, 2999ms})
    health = advance(health, rule(), false, "refused", age);
  EXPECT_EQ(health.state, HealthState::starting);
  for (int i = 0; i < 3; ++i) health = advance(health, rule(), false, "refused", 3s);
  EXPECT_EQ(health.state, HealthState::unhealthy);
}

TEST(Health, AHealthyOneIsUnhealthyAfterAsManyFailuresInARow) {
  Health health;
  for (int i = 0; i < 2; ++i) health = advance(health, rule(), true, "200", 50ms);
  ASSERT_EQ(health.state, HealthState::healthy);
  health = advance(health, rule(), false, "500", 60ms);
  health = advance(health, rule(), false, "500", 70ms);
  health = advance(health, rule(), true, "200", 80ms);
  EXPECT_EQ(health.state, HealthState::healthy) << "a success in between begins anew";
  for (int i = 0; i < 3; ++i) health = advance(health, rule(), false, "500", 90ms);
  EXPECT_EQ(health.state, HealthState::unhealthy);
}

TEST(Health, AStartPeriodIsLongerThanTheGraceOfThePace) {
  auto slow = rule();
  slow.start_period = 30s;
  Health health;
  for (int i = 0; i < 5; ++i) health = advance(health, slow, false, "refused", 29s);
  EXPECT_EQ(health.state, HealthState::starting);
}

}  // namespace
}  // namespace holdfast::deploy::plan
