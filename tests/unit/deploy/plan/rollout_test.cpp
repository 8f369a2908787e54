#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/plan_world.hpp"

namespace holdfast::test {
namespace {

using namespace deploy::plan;
using ::testing::IsEmpty;
using ::testing::SizeIs;

PlanWorld world_with(const std::map<std::string, ServiceShape>& services) {
  PlanWorld world{1};
  world.apply(make_deployment(services));
  EXPECT_TRUE(world.settle());
  EXPECT_THAT(world.violations, IsEmpty());
  return world;
}

TEST(Rollout, AFirstDeploymentBecomesGood) {
  auto world = world_with({{"web", {.port = 80}}, {"db", {}}});
  EXPECT_FALSE(world.progress.rollout);
  EXPECT_EQ(world.progress.good, GenerationId{1});
  EXPECT_THAT(world.observed.instances, SizeIs(2));
  EXPECT_THAT(world.observed.routing->ports, SizeIs(1));
  EXPECT_THAT(world.observed.routing->services, SizeIs(2));
}

TEST(Rollout, AConvergedHostIsLeftAlone) {
  auto world = world_with({{"web", {.port = 80}}});
  const auto decision = world.step();
  for (const auto& action : decision.actions) EXPECT_TRUE(std::holds_alternative<ProbeNow>(action));
  EXPECT_THAT(decision.notes, IsEmpty());
}

TEST(Rollout, TheOldVersionServesUntilTheNewOneIsHealthy) {
  auto world = world_with({{"web", {.port = 80}}});
  world.apply(make_deployment({{"web", {.version = "v2", .port = 80}}}));
  EXPECT_TRUE(world.settle());
  EXPECT_EQ(world.version_serving("web"), "v2");
  EXPECT_THAT(world.violations, IsEmpty());
  EXPECT_EQ(world.progress.good, GenerationId{2});
}

// A restart that was under way when the document came in failed afterwards.
TEST(Rollout, WhatTheFormerInstanceCouldNotDoIsNoFaultOfTheNewOne) {
  auto world = world_with({{"web", {.port = 80}}});
  world.apply(make_deployment({{"web", {.version = "v2", .port = 80}}}));
  world.observed.job_failures.insert_or_assign(
      ServiceName{"web"},
      JobFailure{Error{Errc::runtime, "restart web: no root"}, world.now, 3, {}});
  EXPECT_TRUE(world.settle());
  EXPECT_EQ(world.version_serving("web"), "v2");
  EXPECT_FALSE(world.quarantined.contains(GenerationId{2}));
}

TEST(Rollout, AnUnhealthyVersionIsRolledBackAndQuarantined) {
  auto world = world_with({{"web", {.port = 80}}});
  world.sick.insert("v2");
  world.apply(make_deployment({{"web", {.version = "v2", .port = 80}}}));
  EXPECT_TRUE(world.settle());
  EXPECT_EQ(world.version_serving("web"), "v1");
  EXPECT_EQ(world.progress.current, GenerationId{1});
  EXPECT_TRUE(world.quarantined.contains(GenerationId{2}));
  ASSERT_FALSE(world.endings.empty());
  EXPECT_EQ(world.endings.back().verdict, Verdict::failed);
  EXPECT_THAT(world.violations, IsEmpty());
}

TEST(Rollout, WhatServedForAWhileIsDrainedBeforeItIsRemoved) {
  auto world = world_with({{"web", {.port = 80}}});
  world.apply(make_deployment({{"web", {.version = "v2", .port = 80}}}));
  while (world.version_serving("web") != "v2") world.step();
  const auto second = world.progress.serving.at(ServiceName{"web"});
  world.progress = abandon_rollout(world.progress, "test", "no", world.now);
  while (world.progress.rollout) world.step();
  ASSERT_TRUE(world.progress.retired.contains(second));
  EXPECT_GT(world.progress.retired.at(second).drain, Milliseconds{0});
  EXPECT_EQ(world.progress.retired.at(second).keep, Milliseconds{0});
  EXPECT_EQ(world.observed.instances.at(second).seen.state, InstanceState::running);
  const auto back = world.now;
  while (world.observed.instances.contains(second)) world.step();
  EXPECT_GE(world.now - back, Milliseconds{10'000})
      << "its whole drain, as its connections are unknown";
}

TEST(Rollout, ACrashingVersionIsRolledBackBeforeItsDeadline) {
  auto world = world_with({{"web", {.port = 80}}});
  world.crashing.insert("v2");
  const auto began = world.now;
  world.apply(make_deployment({{"web", {.version = "v2", .port = 80}}}));
  while (world.progress.rollout) world.step();
  EXPECT_EQ(world.progress.current, GenerationId{1});
  EXPECT_LT(world.now - began, std::chrono::seconds{10});
  EXPECT_TRUE(world.quarantined.contains(GenerationId{2}));
}

TEST(Rollout, AllServicesSwitchTogetherOrNoneDoes) {
  auto world = world_with({{"api", {.port = 81}}, {"web", {.port = 80}}});
  world.sick.insert("bad");
  world.apply(make_deployment(
      {{"api", {.version = "v2", .port = 81}}, {"web", {.version = "bad", .port = 80}}}));
  bool switched = false;
  while (world.progress.rollout) {
    world.step();
    switched = switched || world.version_serving("api") == "v2";
  }
  EXPECT_FALSE(switched);
}

TEST(Rollout, AManualRollbackThawsTheStandbyAndPullsNothing) {
  auto world = world_with({{"web", {.port = 80}}});
  const auto first = world.progress.serving.at(ServiceName{"web"});
  world.apply(make_deployment({{"web", {.version = "v2", .port = 80}}}));
  while (world.progress.rollout) world.step();
  for (int i = 0; i < 200 && world.observed.instances.at(first).seen.state != InstanceState::frozen;
       ++i)
    world.step();
  ASSERT_EQ(world.observed.instances.at(first).seen.state, InstanceState::frozen);
  world.rollback_to(1);
  std::size_t pulls = 0;
  std::size_t creates = 0;
  while (world.progress.rollout) {
    for (const auto& action : world.step().actions) {
      pulls += std::holds_alternative<Pull>(action) ? 1U : 0U;
      creates += std::holds_alternative<Create>(action) ? 1U : 0U;
    }
  }
  EXPECT_EQ(pulls, 0U);
  EXPECT_EQ(creates, 0U);
  EXPECT_EQ(world.progress.serving.at(ServiceName{"web"}), first);
  EXPECT_EQ(world.progress.current, GenerationId{1});
}

TEST(Rollout, AStandbyThatIsNotHealthyAnyMoreServesNobody) {
  auto world = world_with({{"web", {.port = 80}}});
  const auto first = world.progress.serving.at(ServiceName{"web"});
  world.apply(make_deployment({{"web", {.version = "v2", .port = 80}}}));
  while (world.progress.rollout) world.step();
  for (int i = 0; i < 200 && world.observed.instances.at(first).seen.state != InstanceState::frozen;
       ++i)
    world.step();
  ASSERT_EQ(world.observed.instances.at(first).seen.state, InstanceState::frozen);
  ASSERT_EQ(world.observed.instances.at(first).health.state, HealthState::healthy) << "it was";
  world.sick.insert("v1");
  world.rollback_to(1);
  while (world.progress.rollout) {
    world.step();
    EXPECT_EQ(world.version_serving("web"), "v2");
  }
  EXPECT_EQ(world.progress.current, GenerationId{2});
}

TEST(Rollout, APauseOfTheAgentUsesUpNoDeadline) {
  auto world = world_with({{"web", {.port = 80}}});
  world.sick.insert("v2");
  world.apply(make_deployment({{"web", {.version = "v2", .port = 80}}}));
  while (world.progress.rollout->phase != Phase::checking) world.step();
  world.now += std::chrono::hours{1};
  world.progress = shift(world.progress, std::chrono::hours{1});
  world.sick.clear();
  EXPECT_TRUE(world.settle());
  EXPECT_EQ(world.version_serving("web"), "v2") << "it became healthy within its deadline";
}

TEST(Rollout, APolicyChangeTouchesNoInstance) {
  auto world = world_with({{"web", {.port = 80}}});
  const auto before = world.touched;
  world.apply(make_deployment({{"web", {.policy = "p2", .port = 80}}}));
  EXPECT_TRUE(world.settle());
  EXPECT_EQ(world.touched, before);
  EXPECT_EQ(world.progress.good, GenerationId{2});
}

TEST(Rollout, ADependentStartsAfterWhatItDependsOnIsHealthy) {
  PlanWorld world{1};
  world.apply(make_deployment({{"db", {}}, {"web", {.depends_on = {"db"}}}}));
  while (world.progress.rollout) {
    for (const auto& action : world.step().actions) {
      const auto* create = std::get_if<Create>(&action);
      if (create == nullptr || create->service != ServiceName{"web"}) continue;
      const auto db = world.progress.rollout->fresh.at(ServiceName{"db"});
      EXPECT_EQ(world.observed.instances.at(db).health.state, HealthState::healthy);
    }
  }
}

TEST(Rollout, AFailedReplaceBringsTheOldInstanceBack) {
  auto world = world_with({{"db", {.port = 5432, .replace = true}}});
  const auto first = world.progress.serving.at(ServiceName{"db"});
  world.sick.insert("v2");
  world.apply(make_deployment({{"db", {.version = "v2", .port = 5432, .replace = true}}}));
  EXPECT_TRUE(world.settle());
  EXPECT_EQ(world.progress.serving.at(ServiceName{"db"}), first);
  EXPECT_EQ(world.observed.instances.at(first).seen.state, InstanceState::running);
}

TEST(Steady, AKilledContainerIsRestartedAtOnceThenWithBackOff) {
  auto world = world_with({{"web", {.port = 80}}});
  world.kill("web", 137);
  const auto decision = world.step();
  ASSERT_FALSE(decision.actions.empty());
  EXPECT_TRUE(std::holds_alternative<RestartProcess>(decision.actions.front()));
  EXPECT_EQ(restart_delay(0), Milliseconds{0});
  EXPECT_EQ(restart_delay(1), Milliseconds{1'000});
  EXPECT_EQ(restart_delay(3), Milliseconds{4'000});
  EXPECT_EQ(restart_delay(40), Milliseconds{60'000});
}

TEST(Steady, ProgressSurvivesBeingWrittenAndRead) {
  auto world = world_with({{"web", {.port = 80}}});
  world.apply(make_deployment({{"web", {.version = "v2", .port = 80}}}));
  for (int i = 0; i < 5; ++i) world.step();
  const auto text = encode_progress(world.progress);
  const auto read = decode_progress(text, world.now);
  ASSERT_TRUE(read);
  EXPECT_EQ(encode_progress(*read), text);
  EXPECT_FALSE(decode_progress("{\"current\": []}", world.now));
}

}  // namespace
}  // namespace holdfast::test
