// What runs, after the ledger lost what it knew of it.
#include "deploy/plan/recovery.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/plan_world.hpp"

namespace holdfast::test {
namespace {

using namespace deploy::plan;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const std::map<std::string, ServiceShape> kShop{{"db", {}}, {"web", {.port = 80}}};

PlanWorld one_generation() {
  PlanWorld world{7};
  world.apply(make_deployment(kShop));
  EXPECT_TRUE(world.settle());
  return world;
}

std::vector<ObservedInstance> seen_in(const PlanWorld& world) {
  std::vector<ObservedInstance> out;
  for (const auto& [id, view] : world.observed.instances) out.push_back(view.seen);
  return out;
}

/// As a recovery leaves it that found nothing: no generation is known.
void forget_all(PlanWorld& world) {
  world.progress = keep_unknown({}, seen_in(world));
  world.generations.clear();
  world.touched.clear();
  world.notes.clear();
}

TEST(Recovery, WhatRunsIsFoundToBeAGenerationByItsRunHashes) {
  auto world = one_generation();
  const auto matched = match_running({}, *make_deployment(kShop), GenerationId{1}, seen_in(world));
  ASSERT_TRUE(matched);
  EXPECT_EQ(matched->serving, world.progress.serving);
  EXPECT_EQ(matched->current, GenerationId{1});
  EXPECT_GE(matched->next_sequence, 3U) << "no new instance may have the name of one that runs";
}

TEST(Recovery, AnotherVersionThatRunsIsNoneOfThatGeneration) {
  auto world = one_generation();
  auto other = kShop;
  other["web"].version = "v2";
  EXPECT_FALSE(match_running({}, *make_deployment(other), GenerationId{1}, seen_in(world)));
  other = kShop;
  other.erase("web");
  EXPECT_FALSE(match_running({}, *make_deployment(other), GenerationId{1}, seen_in(world)))
      << "a service that it does not declare runs";
}

TEST(Recovery, AServiceThatDoesNotRunIsLeftToBeMadeAnew) {
  auto world = one_generation();
  auto more = kShop;
  more["extra"] = {};
  const auto matched = match_running({}, *make_deployment(more), GenerationId{1}, seen_in(world));
  ASSERT_TRUE(matched);
  EXPECT_THAT(matched->serving, SizeIs(2));
}

TEST(Recovery, WhatNobodyKnowsIsLeftAloneWithItsTraffic) {
  auto world = one_generation();
  const auto routing = world.observed.routing;
  forget_all(world);
  for (int i = 0; i < 50; ++i) world.step();
  EXPECT_THAT(world.touched, IsEmpty());
  EXPECT_EQ(world.observed.routing, routing);
  EXPECT_THAT(world.observed.instances, SizeIs(2));
}

TEST(Recovery, ItsDocumentTakesItOverAsItRuns) {
  auto world = one_generation();
  const auto ports = world.observed.routing->ports;
  const auto before = world.progress.serving;
  forget_all(world);
  world.apply(make_deployment(kShop));
  while (world.progress.rollout) {
    world.step();
    ASSERT_EQ(world.observed.routing->ports, ports);
  }
  EXPECT_TRUE(world.settle());
  EXPECT_EQ(world.progress.serving, before);
  EXPECT_THAT(world.touched, IsEmpty());
  EXPECT_THAT(world.progress.kept, IsEmpty());
  EXPECT_THAT(world.violations, IsEmpty());
}

TEST(Recovery, AnotherDocumentReplacesItOnlyOnceItIsGood) {
  auto world = one_generation();
  const auto ports = world.observed.routing->ports;
  forget_all(world);
  auto other = kShop;
  other["web"].version = other["db"].version = "v2";
  world.apply(make_deployment(other));
  while (world.progress.rollout && world.progress.rollout->phase != Phase::switching) {
    world.step();
    if (world.progress.rollout && world.progress.rollout->phase != Phase::switching) {
      ASSERT_EQ(world.observed.routing->ports, ports) << "the old ones serve until the switch";
    }
  }
  EXPECT_TRUE(world.settle());
  EXPECT_EQ(world.version_serving("web"), "v2");
  EXPECT_THAT(world.observed.instances, SizeIs(2)) << "the old ones are gone";
}

TEST(Recovery, ADocumentThatFailsBeforeItsSwitchChangesNothing) {
  auto world = one_generation();
  const auto routing = world.observed.routing;
  forget_all(world);
  auto other = kShop;
  other["web"].version = "v2";
  world.sick.insert("v2");
  world.apply(make_deployment(other));
  EXPECT_TRUE(world.settle());
  EXPECT_EQ(world.observed.routing->ports, routing->ports);
  EXPECT_THAT(world.progress.kept, SizeIs(2));
  EXPECT_THAT(world.observed.instances, SizeIs(2));
}

TEST(Recovery, ARollbackThatIsTakenUpIsYoungerThanAllThatIsRecorded) {
  const GenerationId first{1};
  const GenerationId second{2};
  const GenerationId third{3};
  const auto recorded = [&](GenerationId from, GenerationId target, Trigger trigger) {
    Progress before;
    before.current = from;
    return begin_rollout(before, target, trigger, "root", "test", BootTime{});
  };
  const auto resume = [&](const Progress& progress) {
    return resume_rollback(progress, first, "root", "back", BootTime{});
  };
  EXPECT_FALSE(resume(recorded(second, first, Trigger::rollback))) << "it is recorded";

  const auto late = resume(recorded(second, third, Trigger::apply));
  ASSERT_TRUE(late);
  EXPECT_EQ(late->superseded, third);
  EXPECT_EQ(late->progress.rollout->from, second);
  EXPECT_EQ(late->progress.rollout->target, first);
  EXPECT_EQ(late->progress.rollout->trigger, Trigger::rollback);

  const auto turned = resume(recorded(first, second, Trigger::apply));
  ASSERT_TRUE(turned);
  EXPECT_FALSE(turned->superseded);
  EXPECT_EQ(turned->progress.rollout->phase, Phase::reverting);

  const auto other = resume(recorded(third, second, Trigger::rollback));
  ASSERT_TRUE(other);
  EXPECT_FALSE(other->superseded) << "it was good";
  EXPECT_EQ(other->progress.rollout->target, first);

  Progress there;
  there.current = first;
  EXPECT_EQ(resume(there)->progress, there);
}

TEST(Recovery, WhatIsKeptIsDurable) {
  auto world = one_generation();
  const auto kept = keep_unknown(world.progress, seen_in(world));
  const auto read = decode_progress(encode_progress(kept), BootTime{});
  ASSERT_TRUE(read);
  EXPECT_EQ(read->kept, kept.kept);
  EXPECT_EQ(read->next_sequence, kept.next_sequence);
}

}  // namespace
}  // namespace holdfast::test
