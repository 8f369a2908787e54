#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/plan_world.hpp"

namespace holdfast::test {
namespace {

using namespace deploy::plan;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::shared_ptr<const proto::Deployment> with_hooks(const std::string& version,
                                                    const proto::Hooks& hooks) {
  auto made = std::make_shared<proto::Deployment>(
      *make_deployment({{"web", {.version = version, .port = 80}}}));
  made->hooks = hooks;
  return made;
}

PlanWorld world_at_v1(std::uint32_t seed = 1) {
  PlanWorld world{seed};
  world.apply(with_hooks("v1", {}));
  EXPECT_TRUE(world.settle());
  return world;
}

std::vector<proto::EntryKind> kinds_of(const PlanWorld& world, const std::string& service) {
  std::vector<proto::EntryKind> kinds;
  for (const auto& note : world.notes) {
    if (note.service == service) kinds.push_back(note.kind);
  }
  return kinds;
}

std::size_t left_of_hooks(const PlanWorld& world) {
  return static_cast<std::size_t>(
      std::count_if(world.observed.instances.begin(), world.observed.instances.end(),
                    [](const auto& row) { return row.second.seen.service.str() != "web"; }));
}

TEST(Hooks, RunInOrderBeforeAnyInstanceAndAfterTheSwitch) {
  auto world = world_at_v1();
  world.apply(with_hooks(
      "v2", {.before = {make_hook("one"), make_hook("two")}, .after = {make_hook("smoke")}}));
  while (world.progress.rollout) {
    world.step();
    if (!world.progress.rollout) break;
    const auto& r = *world.progress.rollout;
    if (r.hooks_before.done < 2) {
      EXPECT_TRUE(r.fresh.empty());
    }
    if (r.phase != Phase::soaking) {
      EXPECT_TRUE(r.hooks_after.id.empty());
    }
  }
  EXPECT_THAT(world.hooks_started, ElementsAre("one", "two", "smoke"));
  EXPECT_EQ(world.progress.good, GenerationId{2});
  EXPECT_TRUE(world.settle());
  EXPECT_EQ(left_of_hooks(world), 0U);
  EXPECT_THAT(kinds_of(world, "one"),
              ElementsAre(proto::EntryKind::hook_started, proto::EntryKind::hook_finished));
}

TEST(Hooks, AFailingOneBeforeTheSwitchVetoesAndNothingOfTheNewVersionStarts) {
  auto world = world_at_v1();
  world.hook_codes["migrate"] = 3;
  const auto serving = world.progress.serving;
  world.apply(with_hooks("v2", {.before = {make_hook("migrate"), make_hook("never")}}));
  EXPECT_TRUE(world.settle());
  EXPECT_THAT(world.hooks_started, ElementsAre("migrate"));
  EXPECT_EQ(world.progress.serving, serving);
  EXPECT_TRUE(world.quarantined.contains(GenerationId{2}));
  const auto failed = std::find_if(world.notes.begin(), world.notes.end(), [](const Note& note) {
    return note.kind == proto::EntryKind::failed;
  });
  ASSERT_NE(failed, world.notes.end());
  EXPECT_EQ(failed->reason, "before hook migrate exited with code 3");
  EXPECT_EQ(failed->detail.at("exit_code"), "3");
  EXPECT_THAT(world.violations, IsEmpty());
  EXPECT_EQ(left_of_hooks(world), 0U);
}

TEST(Hooks, AFailingSmokeTestGoesBackToTheOldInstances) {
  auto world = world_at_v1();
  world.hook_codes["smoke"] = 1;
  const auto serving = world.progress.serving;
  world.apply(with_hooks("v2", {.after = {make_hook("smoke")}}));
  bool switched = false;
  while (world.progress.rollout) {
    world.step();
    switched = switched || world.version_serving("web") == "v2";
  }
  EXPECT_TRUE(switched);
  EXPECT_EQ(world.progress.serving, serving);
  EXPECT_TRUE(world.quarantined.contains(GenerationId{2}));
  EXPECT_THAT(world.violations, IsEmpty());
}

TEST(Hooks, OneThatDoesNotEndFailsAtItsDeadlineAndIsTakenAway) {
  auto world = world_at_v1();
  world.hook_codes["migrate"] = PlanWorld::kNeverEnds;
  const auto began = world.now;
  world.apply(with_hooks("v2", {.before = {make_hook("migrate", Milliseconds{3'000})}}));
  while (world.progress.rollout) world.step();
  EXPECT_GE(world.now - began, Milliseconds{3'000});
  EXPECT_LT(world.now - began, Milliseconds{8'000});
  EXPECT_TRUE(world.settle());
  EXPECT_EQ(left_of_hooks(world), 0U);
  EXPECT_TRUE(world.quarantined.contains(GenerationId{2}));
}

TEST(Hooks, RollbackHooksRunAfterTrafficIsBackAndAFailingOneStopsNothing) {
  auto world = world_at_v1();
  world.apply(with_hooks("v2", {.on_rollback = {make_hook("undo"), make_hook("tell")}}));
  EXPECT_TRUE(world.settle());
  world.hook_codes["undo"] = 1;
  world.rollback_to(1);
  while (world.progress.rollout) world.step();
  EXPECT_EQ(world.progress.good, GenerationId{1});
  EXPECT_THAT(world.hooks_started, IsEmpty());
  EXPECT_TRUE(world.settle());
  EXPECT_THAT(world.hooks_started, ElementsAre("undo", "tell"));
  EXPECT_THAT(kinds_of(world, "undo"),
              ElementsAre(proto::EntryKind::hook_started, proto::EntryKind::hook_failed));
  EXPECT_EQ(left_of_hooks(world), 0U);
  EXPECT_EQ(world.version_serving("web"), "v1");
}

TEST(Hooks, RollbackHooksRunAfterAnAutomaticRollbackButNotWhenNothingHadStarted) {
  auto world = world_at_v1();
  world.sick.insert("v2");
  world.apply(with_hooks("v2", {.on_rollback = {make_hook("undo")}}));
  EXPECT_TRUE(world.settle());
  EXPECT_THAT(world.hooks_started, ElementsAre("undo"));

  world.apply(with_hooks("v3", {.on_rollback = {make_hook("undo-3")}}));
  world.progress = abandon_rollout(world.progress, "test", "no", world.now);
  EXPECT_TRUE(world.settle());
  EXPECT_THAT(world.hooks_started, ElementsAre("undo"));
}

TEST(Hooks, TheNextRolloutWaitsForRollbackHooksAndARollbackDoesNot) {
  auto world = world_at_v1();
  world.apply(with_hooks("v2", {.on_rollback = {make_hook("undo")}}));
  EXPECT_TRUE(world.settle());
  world.hook_codes["undo"] = PlanWorld::kNeverEnds;
  world.rollback_to(1);
  while (world.progress.rollout) world.step();
  world.apply(with_hooks("v3", {}));
  for (int i = 0; i < 40 && world.hooks_started.empty(); ++i) world.step();
  ASSERT_FALSE(world.progress.post_rollback_hooks.empty());
  EXPECT_EQ(world.progress.rollout->phase, Phase::staging);
  while (world.progress.rollout && world.progress.rollout->phase == Phase::staging) world.step();
  EXPECT_TRUE(world.progress.post_rollback_hooks.empty());
  EXPECT_TRUE(world.settle());
  EXPECT_EQ(world.progress.good, GenerationId{3});
}

TEST(Hooks, AreNotBegunAnewWhileTheirExitCodeIsOnItsWay) {
  auto world = world_at_v1();
  world.hook_codes["migrate"] = PlanWorld::kNeverEnds;
  world.apply(with_hooks("v2", {.before = {make_hook("migrate")}}));
  while (world.hooks_started.empty()) world.step();
  auto& seen = world.observed.instances.at(world.progress.rollout->hooks_before.id).seen;
  seen.state = InstanceState::exited;
  for (int i = 0; i < 5; ++i) world.step();
  EXPECT_EQ(world.progress.rollout->hooks_before.done, 0U);
  seen.exit = ExitInfo{0, false, {}};
  while (world.progress.rollout) world.step();
  EXPECT_THAT(world.hooks_started, ElementsAre("migrate"));
  EXPECT_EQ(world.progress.good, GenerationId{2});
}

TEST(Hooks, WhoseEndNobodyKnowsIsBegunAnewButNotForEver) {
  auto world = world_at_v1();
  world.hook_codes["migrate"] = PlanWorld::kNeverEnds;
  world.apply(with_hooks("v2", {.before = {make_hook("migrate", Milliseconds{100'000})}}));
  for (int i = 0; i < 400 && world.progress.rollout; ++i) {
    world.step();
    for (auto& [id, view] : world.observed.instances) {
      if (view.seen.service.str() == "migrate" && view.seen.state == InstanceState::running)
        view.seen.state = InstanceState::broken;
    }
  }
  EXPECT_THAT(world.hooks_started, ElementsAre("migrate", "migrate", "migrate"));
  EXPECT_TRUE(world.quarantined.contains(GenerationId{2}));
}

/// An agent that is killed at any step, again and again: each hook runs at least once, never twice
/// at once, and the end is the same.
TEST(Hooks, SurviveAgentsThatAreKilledAtAnyStep) {
  for (std::uint32_t seed = 1; seed <= 500; ++seed) {
    auto world = world_at_v1(seed);
    std::mt19937 random{seed};
    const bool bad = random() % 2 == 0;
    if (bad) world.hook_codes["smoke"] = 1;
    world.apply(with_hooks("v2", {.before = {make_hook("one"), make_hook("two")},
                                  .after = {make_hook("smoke")},
                                  .on_rollback = {make_hook("undo")}}));
    int kills = 2;
    for (int i = 0; i < 2'000; ++i) {
      world.step();
      ASSERT_THAT(world.violations, IsEmpty()) << "seed " << seed;
      if (kills > 0 && random() % 20 == 0) {
        --kills;
        world.restart_agent();
      }
      if (!world.progress.rollout && world.progress.post_rollback_hooks.empty()) break;
    }
    ASSERT_TRUE(world.settle()) << "seed " << seed;
    const std::set<std::string> started{world.hooks_started.begin(), world.hooks_started.end()};
    EXPECT_EQ(started.contains("undo"), bad) << "seed " << seed;
    EXPECT_TRUE(started.contains("one") && started.contains("two") && started.contains("smoke"));
    EXPECT_EQ(world.version_serving("web"), bad ? "v1" : "v2") << "seed " << seed;
    EXPECT_EQ(left_of_hooks(world), 0U) << "seed " << seed;
  }
}

TEST(Hooks, ArePartOfThePlan) {
  const auto wanted = with_hooks("v2", {.before = {make_hook("migrate")}});
  std::vector<proto::api::PlanHook> hooks;
  add_hooks(*wanted, proto::HookStage::before, hooks);
  add_hooks(*wanted, proto::HookStage::after, hooks);
  ASSERT_EQ(hooks.size(), 1U);
  EXPECT_EQ(hooks.front().stage.text(), "before");
  EXPECT_EQ(hooks.front().note, "within 10s");
}

}  // namespace
}  // namespace holdfast::test
