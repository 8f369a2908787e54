// Instances end beside everything else: by the rule of the document they came from, and without
// holding up what their service needs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/plan_world.hpp"

namespace holdfast::test {
namespace {

using namespace deploy::plan;
using namespace std::chrono_literals;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const ServiceName kWeb{"web"};

std::shared_ptr<const proto::Deployment> document(ServiceShape shape, proto::StopRule rule = {}) {
  auto made = std::make_shared<proto::Deployment>(*make_deployment({{"web", std::move(shape)}}));
  auto& web = made->services.at(kWeb);
  web.stop = std::move(rule);
  web.update.drain = Milliseconds{100};
  web.update.standby = Milliseconds{0};
  return made;
}

bool runs(const PlanWorld& world, const InstanceId& id) {
  const auto found = world.observed.instances.find(id);
  return found != world.observed.instances.end() &&
         found->second.seen.state == InstanceState::running;
}

/// v2 serves, and the instance of v1 (returned) is being stopped.
InstanceId stopping_first(PlanWorld& world) {
  world.apply(document({.port = 80}));
  EXPECT_TRUE(world.settle());
  world.stop_takes = 10s;
  const auto first = world.progress.serving.at(kWeb);
  world.apply(document({.version = "v2", .port = 80}));
  while (!world.observed.ending.contains(first)) world.step();
  EXPECT_FALSE(world.progress.rollout);
  return first;
}

TEST(Stop, ARollbackWaitsForNoStop) {
  PlanWorld world{1};
  const auto first = stopping_first(world);
  const auto began = world.now;
  world.rollback_to(1);
  while (world.progress.rollout) world.step();
  EXPECT_LT(world.now - began, 3s);
  EXPECT_EQ(world.version_serving("web"), "v1");
  EXPECT_NE(world.progress.serving.at(kWeb), first) << "that one is on its way out";
  EXPECT_TRUE(world.observed.ending.contains(first));
  EXPECT_THAT(world.quarantined, IsEmpty());
  EXPECT_TRUE(world.settle());
  EXPECT_THAT(world.observed.instances, SizeIs(1));
  EXPECT_THAT(world.violations, IsEmpty());
}

TEST(Stop, AnotherUpdateWaitsForNoStop) {
  PlanWorld world{2};
  const auto first = stopping_first(world);
  world.apply(document({.version = "v3", .port = 80}));
  while (world.version_serving("web") != "v3") world.step();
  EXPECT_TRUE(world.observed.ending.contains(first));
  EXPECT_TRUE(world.settle());
  EXPECT_EQ(world.progress.good, GenerationId{3});
}

TEST(Stop, ACrashIsRestartedWhileAnOlderInstanceIsBeingStopped) {
  PlanWorld world{3};
  const auto first = stopping_first(world);
  const auto serving = world.progress.serving.at(kWeb);
  world.kill("web", 137);
  while (!runs(world, serving)) world.step();
  EXPECT_TRUE(world.observed.ending.contains(first));
}

TEST(Stop, AnAgentThatWasKilledInTheMiddleOfAStopStopsItAgain) {
  PlanWorld world{4};
  const auto first = stopping_first(world);
  world.restart_agent();
  const auto asked = world.stops.size();
  world.step();
  ASSERT_EQ(world.stops.size(), asked + 1);
  EXPECT_EQ(world.stops.back().id, first);
  EXPECT_TRUE(world.settle());
}

TEST(Stop, WhatRetiresIsStoppedByTheRuleOfItsOwnDocument) {
  const proto::StopRule rule{"SIGINT", 45s};
  for (const bool killed : {false, true}) {
    for (const bool leaves : {false, true}) {
      PlanWorld world{5};
      world.apply(document({.port = 80}, rule));
      EXPECT_TRUE(world.settle());
      const auto first = world.progress.serving.at(kWeb);
      world.apply(leaves ? make_deployment({{"other", {}}})
                         : document({.version = "v2", .port = 80}, {"SIGQUIT", 1s}));
      while (!world.progress.retired.contains(first)) world.step();
      if (killed) world.restart_agent();
      while (world.stops.empty()) world.step();
      EXPECT_EQ(world.stops.front().id, first);
      EXPECT_EQ(world.stops.front().rule, rule) << killed << leaves;
      EXPECT_FALSE(world.stops.front().awaited);
    }
  }
}

TEST(Stop, ARuleThatChangedWithoutANewInstanceCounts) {
  PlanWorld world{6};
  world.apply(document({.port = 80}));
  EXPECT_TRUE(world.settle());
  const auto first = world.progress.serving.at(kWeb);
  world.apply(document({.policy = "p2", .port = 80}, {"", 45s}));
  EXPECT_TRUE(world.settle());
  ASSERT_EQ(world.progress.serving.at(kWeb), first);
  world.apply(document({.version = "v2", .port = 80}));
  while (world.stops.empty()) world.step();
  EXPECT_EQ(world.stops.front().rule.timeout, 45s);
}

TEST(Stop, AStandbyThatIsDroppedKeepsItsRule) {
  Progress progress;
  const InstanceId id{"web-1"};
  progress.retired[id] = {.standby = true, .stop = {"SIGINT", 45s}};
  const auto dropped = decode_progress(encode_progress(drop_standby(progress).first), {});
  ASSERT_TRUE(dropped);
  EXPECT_EQ(dropped->released.at(id), (proto::StopRule{"SIGINT", 45s}));
}

TEST(Stop, AReplacementWaitsForTheEndOfWhatItReplaces) {
  PlanWorld world{7};
  world.apply(document({.port = 80, .replace = true}, {"", 45s}));
  EXPECT_TRUE(world.settle());
  world.stop_takes = 10s;
  const auto first = world.progress.serving.at(kWeb);
  world.apply(document({.version = "v2", .port = 80, .replace = true}));
  while (world.progress.rollout) {
    world.step();
    std::size_t alive = 0;
    for (const auto& [id, view] : world.observed.instances) alive += runs(world, id) ? 1U : 0U;
    ASSERT_LE(alive, 1U) << "two of them share a volume";
  }
  ASSERT_THAT(world.stops, SizeIs(1));
  EXPECT_EQ(world.stops.front().id, first);
  EXPECT_TRUE(world.stops.front().awaited);
  EXPECT_EQ(world.stops.front().rule.timeout, 45s) << "its own document's";
}

TEST(Stop, TheWayBackOfAReplacementWaitsTooAndNothingRunsTwice) {
  for (const bool during_stop : {false, true}) {
    PlanWorld world{8};
    world.apply(document({.port = 80, .replace = true}));
    EXPECT_TRUE(world.settle());
    world.stop_takes = 3s;
    world.sick.insert("v2");
    world.apply(document({.version = "v2", .port = 80, .replace = true}));
    while (world.stops.empty()) world.step();
    if (during_stop) world.progress = abandon_rollout(world.progress, "test", "no", world.now);
    while (world.progress.rollout) {
      world.step();
      std::size_t alive = 0;
      for (const auto& [id, view] : world.observed.instances) alive += runs(world, id) ? 1U : 0U;
      ASSERT_LE(alive, 1U);
    }
    EXPECT_TRUE(runs(world, world.progress.serving.at(kWeb))) << "before it is called over";
    EXPECT_EQ(world.version_serving("web"), "v1");
    EXPECT_TRUE(world.settle());
  }
}

TEST(Stop, AStopThatFailedIsTriedAgainLaterAndIsNoFaultOfItsService) {
  PlanWorld world{9};
  const auto first = stopping_first(world);
  world.observed.ending.clear();
  world.observed.end_failures.insert_or_assign(
      first, JobFailure{Error{Errc::timed_out, "it hangs"}, world.now + 5s, 1});
  const auto asked = world.stops.size();
  const auto due = world.now + 5s;
  while (world.stops.size() == asked) world.step();
  EXPECT_GE(world.now, due);
}

TEST(Stop, ProgressOfEarlierAgentsIsRead) {
  auto text = encode_progress({});
  text.insert(text.size() - 1, R"(,"given_up":["web-0b1d-3"])");
  const auto read = decode_progress(text, {});
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->released.at(InstanceId{"web-0b1d-3"}), proto::StopRule{});
}

}  // namespace
}  // namespace holdfast::test
