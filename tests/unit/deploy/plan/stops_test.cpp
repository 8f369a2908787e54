// Services that an operator stops, starts and restarts: what was asked for holds, whatever else
// happens, and takes nothing else along.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/support/plan_world.hpp"

namespace holdfast::test {
namespace {

using namespace deploy::plan;
using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const ServiceName kDb{"db"};
const ServiceName kFront{"web"};
const Settings kHostSettings{proto::Subnet{0x0A5A0000, 16}};

WallTime instant(const char* text) { return parse_rfc3339(text).value(); }

std::shared_ptr<const proto::Deployment> shop(const std::string& version) {
  return make_deployment({{"db", {.version = version, .port = 5432, .replace = true}},
                          {"web", {.version = version, .port = 80}}});
}

class Stops : public ::testing::Test {
 protected:
  Stops() {
    world_.observed.wall = instant("2026-11-23T12:00:00Z");
    apply("v1");
  }
  void apply(const std::string& version) {
    world_.apply(shop(version));
    ASSERT_TRUE(world_.settle());
  }
  void stop(const ServiceName& service, std::optional<WallTime> until = {}) {
    world_.progress = stop_service(world_.progress, service,
                                   {"root (uid 0)", "a disk", world_.observed.wall, until});
    ASSERT_TRUE(world_.settle());
  }
  void restart(const ServiceName& service) {
    world_.progress = restart_service(world_.progress, world_.observed, service);
    ASSERT_TRUE(world_.settle());
  }
  bool runs(const ServiceName& service) {
    return std::any_of(world_.observed.instances.begin(), world_.observed.instances.end(),
                       [&](const auto& row) {
                         return row.second.seen.service == service &&
                                row.second.seen.state == InstanceState::running;
                       });
  }
  std::uint32_t starts(const ServiceName& service) {
    return world_.observed.instances.at(world_.progress.serving.at(service)).seen.starts;
  }
  bool is_routed(std::uint16_t port) {
    const auto& ports = world_.observed.routing->ports;
    return std::any_of(ports.begin(), ports.end(),
                       [&](const auto& row) { return row.first.port == port; });
  }
  PlanWorld world_{1};
};

TEST_F(Stops, AStoppedServiceHasNoProcessNoRouteAndNoDrift) {
  stop(kDb);
  EXPECT_FALSE(runs(kDb));
  EXPECT_TRUE(runs(kFront));
  EXPECT_FALSE(is_routed(5432));
  EXPECT_TRUE(is_routed(80));
  EXPECT_THAT(classify(world_.progress, world_.observed, kHostSettings), IsEmpty());
  EXPECT_THAT(world_.violations, IsEmpty()) << "the route goes first";
}

TEST_F(Stops, ARolloutLeavesItStoppedAndItsNewVersionComesWithTheStart) {
  stop(kDb);
  apply("v2");
  EXPECT_FALSE(runs(kDb));
  EXPECT_EQ(world_.version_serving("web"), "v2");
  restart(kDb);
  EXPECT_EQ(world_.version_serving("db"), "v2");
  EXPECT_TRUE(is_routed(5432));
  EXPECT_THAT(world_.violations, IsEmpty());
}

TEST_F(Stops, ARollbackLeavesItStopped) {
  apply("v2");
  stop(kFront);
  world_.rollback_to(1);
  ASSERT_TRUE(world_.settle());
  EXPECT_FALSE(runs(kFront));
  EXPECT_EQ(world_.version_serving("db"), "v1");
  restart(kFront);
  EXPECT_EQ(world_.version_serving("web"), "v1");
}

TEST_F(Stops, ItIsRememberedByTheNextAgentAndAfterAReboot) {
  stop(kDb, instant("2026-11-23T14:00:00Z"));
  const auto text = encode_progress(world_.progress);
  world_.progress = decode_progress(text, world_.now).value();
  EXPECT_EQ(encode_progress(world_.progress), text);
  world_.restart_agent();
  for (auto& [id, view] : world_.observed.instances) {
    view.seen.state = InstanceState::broken;
    view.seen.earlier_boot = true;
    view.seen.exit.reset();
    view.health = {};
  }
  ASSERT_TRUE(world_.settle());
  EXPECT_FALSE(runs(kDb));
  EXPECT_TRUE(runs(kFront));
  world_.observed.wall = instant("2026-11-23T14:00:00Z");
  ASSERT_TRUE(world_.settle());
  EXPECT_TRUE(runs(kDb));
  EXPECT_EQ(world_.notes.back().kind, proto::EntryKind::started);
}

TEST_F(Stops, SeveralEndEachAtItsTime) {
  stop(kDb, instant("2026-11-23T14:00:00Z"));
  stop(kFront, instant("2026-11-23T15:00:00Z"));
  EXPECT_FALSE(runs(kDb) || runs(kFront));
  world_.observed.wall = instant("2026-11-23T14:00:00Z");
  ASSERT_TRUE(world_.settle());
  EXPECT_TRUE(runs(kDb));
  EXPECT_FALSE(runs(kFront));
  world_.observed.wall = instant("2026-11-23T16:00:00Z");
  stop(kDb, instant("2026-11-23T15:30:00Z"));  // both are over
  EXPECT_TRUE(runs(kDb) && runs(kFront));
}

TEST_F(Stops, AOneShotThatEndsBecauseItWasStoppedHasNotCompleted) {
  auto wanted = world_.generations.begin()->second->services.at(kFront);
  wanted.restart = proto::Restart::never;
  auto view = world_.observed.instances.at(world_.progress.serving.at(kFront));
  view.seen.state = InstanceState::exited;
  view.seen.exit = ExitInfo{0, false, {}};
  EXPECT_TRUE(completes_now(world_.progress, view, kFront, wanted));
  world_.progress = stop_service(world_.progress, kFront, {"root", "x", {}, {}});
  EXPECT_FALSE(completes_now(world_.progress, view, kFront, wanted));
}

TEST_F(Stops, AServiceThatIsDeclaredNoMoreIsForgotten) {
  stop(kDb);
  world_.apply(make_deployment({{"web", {.version = "v2", .port = 80}}}));
  ASSERT_TRUE(world_.settle());
  EXPECT_THAT(world_.progress.stopped, IsEmpty());
  apply("v3");
  EXPECT_TRUE(runs(kDb));
}

TEST_F(Stops, ARestartIsOneMoreStartOfTheSameInstance) {
  const auto id = world_.progress.serving.at(kFront);
  const auto before = starts(kFront);
  restart(kFront);
  EXPECT_EQ(world_.progress.serving.at(kFront), id);
  EXPECT_EQ(starts(kFront), before + 1);
  EXPECT_THAT(world_.progress.restarting, IsEmpty());
  EXPECT_THAT(world_.violations, IsEmpty());
}

TEST_F(Stops, ARestartIsNotLostWithTheAgentWhereverItWas) {
  auto once = std::make_shared<proto::Deployment>(*shop("v1"));
  once->services.at(kFront).restart = proto::Restart::never;
  world_.apply(once);
  ASSERT_TRUE(world_.settle());
  for (int steps = 0; steps < 12; ++steps) {
    const auto before = starts(kFront);
    world_.progress = restart_service(world_.progress, world_.observed, kFront);
    for (int i = 0; i < steps; ++i) world_.step();
    world_.restart_agent();
    ASSERT_TRUE(world_.settle());
    EXPECT_TRUE(runs(kFront)) << steps;
    EXPECT_EQ(starts(kFront), before + 1) << steps;
  }
}

TEST_F(Stops, PlanAndWarningsSayWhatStaysStopped) {
  stop(kDb);
  const auto next = shop("v2");
  auto steps = compare(shop("v1").get(), *next, {});
  mark_stopped(world_.progress, steps);
  const auto step = std::find_if(steps.begin(), steps.end(),
                                 [](const auto& each) { return each.service == "db"; });
  ASSERT_NE(step, steps.end());
  EXPECT_EQ(step->change.text(), "keep");
  EXPECT_THAT(step->reason, HasSubstr("stopped by root (uid 0): a disk"));
  EXPECT_THAT(stop_warnings(world_.progress, *next),
              ::testing::ElementsAre(HasSubstr("holdfast start db")));
}

/// One of the things that operators and the world do. What is asked of single services waits for
/// the end of a rollout, as the engine has it.
void disturb(PlanWorld& world, std::mt19937& random, int& version) {
  const auto service = random() % 2 == 0 ? kDb : kFront;
  switch (random() % 7) {
    case 0:
      if (!world.progress.rollout) world.apply(shop("v" + std::to_string(++version)));
      return;
    case 1:
      if (!world.progress.rollout && world.progress.good.value() > 1)
        world.rollback_to(1 + random() % (world.progress.good.value() - 1));
      return;
    case 2:
      return world.restart_agent();
    case 3:
      if (const auto serving = world.progress.serving.find(service);
          serving != world.progress.serving.end() &&
          world.observed.instances.contains(serving->second) &&
          world.observed.instances.at(serving->second).seen.state == InstanceState::running &&
          !world.progress.rollout)
        world.kill(service.str(), 137);
      return;
    case 4:
    case 5:
      if (!has_begun(world.progress))
        world.progress = stop_service(world.progress, service, {"root", "x", {}, {}});
      return;
    default:
      if (!has_begun(world.progress))
        world.progress = restart_service(world.progress, world.observed, service);
  }
}

TEST(StopsProperty, WhatIsStoppedStaysSoAndTheRestServes) {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    std::mt19937 random{seed};
    PlanWorld world{seed};
    int version = 1;
    world.apply(shop("v1"));
    ASSERT_TRUE(world.settle()) << seed;
    for (int round = 0; round < 12; ++round) {
      disturb(world, random, version);
      for (auto steps = random() % 20; steps > 0; --steps) world.step();
      if (random() % 3 != 0) continue;
      ASSERT_TRUE(world.settle()) << "seed " << seed << ", round " << round;
      for (const auto& name : {kDb, kFront}) {
        const auto serving = world.progress.serving.find(name);
        const bool runs =
            serving != world.progress.serving.end() &&
            world.observed.instances.contains(serving->second) &&
            world.observed.instances.at(serving->second).seen.state == InstanceState::running;
        ASSERT_EQ(runs, !world.progress.stopped.contains(name))
            << name.str() << ", seed " << seed << ", round " << round;
      }
      ASSERT_THAT(classify(world.progress, world.observed, kHostSettings), IsEmpty()) << seed;
    }
  }
}

}  // namespace
}  // namespace holdfast::test
