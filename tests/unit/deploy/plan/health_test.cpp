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

/// Of one that was watched from its start, without any grace.
Health probed(Health health, const proto::HealthRule& rules, bool success, const char* detail,
              Milliseconds age) {
  return advance(std::move(health), rules, {success, detail, age, age, 0ms});
}

TEST(Health, FailuresOfEagerProbesDoNotCountBeforeTheDeclaredPaceCouldHaveSeenThem) {
  Health health;
  for (const auto age : {10ms, 20ms, 40ms, 300ms, 2999ms})
    health = probed(health, rule(), false, "refused", age);
  EXPECT_EQ(health.state, HealthState::starting);
  for (int i = 0; i < 3; ++i) health = probed(health, rule(), false, "refused", 3s);
  EXPECT_EQ(health.state, HealthState::unhealthy);
}

TEST(Health, AHealthyOneIsUnhealthyAfterAsManyFailuresInARow) {
  Health health;
  for (int i = 0; i < 2; ++i) health = probed(health, rule(), true, "200", 50ms);
  ASSERT_EQ(health.state, HealthState::healthy);
  health = probed(health, rule(), false, "500", 60ms);
  health = probed(health, rule(), false, "500", 70ms);
  health = probed(health, rule(), true, "200", 80ms);
  EXPECT_EQ(health.state, HealthState::healthy) << "a success in between restarts the count";
  for (int i = 0; i < 3; ++i) health = probed(health, rule(), false, "500", 90ms);
  EXPECT_EQ(health.state, HealthState::unhealthy);
}

proto::Service slow_starter(Milliseconds deadline) {
  const auto image = proto::Digest::of("");
  proto::Service made{.image = {"registry.example.com", "shop/web", "1.0.0", image},
                      .run_hash = image,
                      .policy_hash = image};
  made.health = rule();
  made.update.deadline = deadline;
  return made;
}

TEST(Health, AStartIsGrantedTheMostOfItsPeriodTheDeadlineAndTwiceTheLastStart) {
  auto service = slow_starter(20s);
  EXPECT_EQ(start_grace(service, {}), 20s);
  EXPECT_EQ(start_grace(service, 22s), 44s);
  service.health->start_period = 50s;
  EXPECT_EQ(start_grace(service, 22s), 50s);
  EXPECT_EQ(start_grace_text(service, 22s),
            "has until 50s after its start to become healthy (it took 22s last)");
}

TEST(Health, WhatFailsWithinTheGraceOfAStartDoesNotCount) {
  Health health;
  for (const auto age : {4s, 16s, 29s})
    health = advance(health, rule(), {false, "refused", age, age, 30s});
  EXPECT_EQ(health.state, HealthState::starting);
  for (int i = 0; i < 3; ++i) health = advance(health, rule(), {false, "refused", 30s, 30s, 30s});
  EXPECT_EQ(health.state, HealthState::unhealthy);
}

TEST(Health, WhatWasHealthyOnceHasNoGraceLeft) {
  Health health;
  for (int i = 0; i < 2; ++i) health = advance(health, rule(), {true, "200", 1s, 1s, 30s});
  for (int i = 0; i < 3; ++i) health = advance(health, rule(), {false, "500", 2s, 2s, 30s});
  EXPECT_EQ(health.state, HealthState::unhealthy);
}

TEST(Health, AnAdoptedProcessIsNotJudgedByAHandfulOfQuickProbes) {
  // The agent was restarted; the process has run for an hour and answers slowly just now.
  Health health;
  for (const auto watched : {100ms, 350ms, 600ms, 2999ms})
    health = advance(health, rule(), {false, "timeout", 1h, watched, 30s});
  EXPECT_EQ(health.state, HealthState::starting);
  for (int i = 0; i < 3; ++i) health = advance(health, rule(), {false, "timeout", 1h, 3s, 30s});
  EXPECT_EQ(health.state, HealthState::unhealthy);
}

}  // namespace
}  // namespace holdfast::deploy::plan
