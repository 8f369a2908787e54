// The host goes down: everything ends in order, nothing begins, and the next life of the host finds
// what it needs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/support/plan_world.hpp"

namespace holdfast::test {
namespace {

using namespace deploy::plan;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const Settings kShutdownSettings{proto::Subnet{0x0A5A0000, 16}};

using Shapes = std::map<std::string, ServiceShape>;

Shapes three(const std::string& version) {
  return {{"db", {.version = version, .replace = true}},
          {"api", {.version = version, .depends_on = {"db"}}},
          {"web", {.version = version, .port = 80, .depends_on = {"api"}}}};
}

void go_down(PlanWorld& world, Milliseconds within = 600'000ms) {
  world.stops.clear();
  world.notes.clear();
  world.observed.shutdown = Shutdown{.boot_id = "this",
                                     .within = within,
                                     .services = living(world.progress, world.observed),
                                     .since = world.now};
}

bool lives(const InstanceView& view) {
  return view.seen.state == InstanceState::running || view.seen.state == InstanceState::frozen;
}

std::size_t lives(const PlanWorld& world) {
  return static_cast<std::size_t>(std::count_if(world.observed.instances.begin(),
                                                world.observed.instances.end(),
                                                [](const auto& row) { return lives(row.second); }));
}

/// Steps until nothing lives; false: that did not happen.
bool end_all(PlanWorld& world) {
  for (int i = 0; i < 2000 && lives(world) + world.observed.busy.size() > 0; ++i) world.step();
  return lives(world) == 0;
}

std::vector<std::string> names(const std::vector<Stop>& stops) {
  std::vector<std::string> out;
  for (const auto& stop : stops) out.push_back(stop.service.str());
  return out;
}

class Shutdowns : public ::testing::Test {
 protected:
  void apply(const Shapes& shapes) {
    world_.apply(make_deployment(shapes));
    ASSERT_TRUE(world_.settle());
  }
  /// The host is up again: nothing of before runs, and /run is empty.
  void boot() {
    world_.observed.shutdown.reset();
    world_.observed.routing.reset();
    world_.observed.applied.reset();
    for (auto& [id, view] : world_.observed.instances) {
      view.seen.state = InstanceState::broken;
      view.seen.earlier_boot = true;
      view.seen.exit.reset();
      view.seen.address = 0;
      view.health = {};
    }
    world_.notes.clear();
  }
  PlanWorld world_{1};
};

TEST_F(Shutdowns, WhatOthersStandOnEndsAfterThem) {
  apply(three("v1"));
  world_.stop_takes = 2'000ms;
  go_down(world_);
  EXPECT_TRUE(end_all(world_));
  EXPECT_THAT(names(world_.stops), ElementsAre("web", "api", "db"));
}

TEST_F(Shutdowns, AServiceWhoseDependentsDoNotRunWaitsForThoseBehindThem) {
  apply(three("v1"));
  world_.kill("api", 1);
  go_down(world_);
  world_.step();
  EXPECT_THAT(names(world_.stops), ElementsAre("web"));
}

TEST_F(Shutdowns, ServicesThatDoNotNeedEachOtherEndAtTheSameTime) {
  apply({{"a", {}}, {"b", {}}, {"c", {}}});
  go_down(world_);
  world_.step();
  EXPECT_THAT(names(world_.stops), ElementsAre("a", "b", "c"));
}

TEST_F(Shutdowns, AFrozenStandbyIsKilledAtOnceAndHoldsUpNobody) {
  apply(three("v1"));
  world_.apply(make_deployment(three("v2")));
  while (
      std::none_of(world_.observed.instances.begin(), world_.observed.instances.end(),
                   [](const auto& row) { return row.second.seen.state == InstanceState::frozen; }))
    world_.step();
  world_.step();
  go_down(world_);
  world_.step();
  std::vector<std::string> killed;
  for (const auto& stop : world_.stops)
    if (stop.rule.signal == "SIGKILL") killed.push_back(stop.service.str());
  EXPECT_THAT(killed, ::testing::Contains("web"));
  EXPECT_TRUE(end_all(world_));
}

TEST_F(Shutdowns, WhatSomebodyElseFrozeWhileItServesEndsByItsOwnRule) {
  apply(three("v1"));
  auto& db = world_.observed.instances.at(world_.progress.serving.at(ServiceName{"db"}));
  db.seen.state = InstanceState::frozen;
  go_down(world_);
  EXPECT_TRUE(end_all(world_));
  EXPECT_EQ(world_.stops.back().service.str(), "db");
  EXPECT_NE(world_.stops.back().rule.signal, "SIGKILL");
}

TEST_F(Shutdowns, NoStopOutlastsTheTimeThatIsLeftAndThenEverythingIsKilled) {
  apply(three("v1"));
  world_.stop_takes = 1h;
  go_down(world_, 4'000ms);
  const auto began = world_.now;
  world_.step();
  ASSERT_THAT(names(world_.stops), ElementsAre("web"));
  EXPECT_EQ(world_.stops.front().rule.timeout, 4'000ms);
  while (world_.now < began + 4'000ms) world_.step();
  world_.step();
  EXPECT_THAT(names(world_.stops), ElementsAre("web", "api", "db"));
  EXPECT_EQ(world_.stops.back().rule.signal, "SIGKILL");
}

TEST_F(Shutdowns, NothingElseIsDecidedAndTheNextLifeConvergesWithoutDrift) {
  apply(three("v1"));
  auto before = world_.progress;
  go_down(world_);
  world_.progress.shutdown = world_.observed.shutdown;
  EXPECT_TRUE(end_all(world_));
  before.shutdown = world_.progress.shutdown;
  EXPECT_EQ(world_.progress, before);
  EXPECT_THAT(world_.notes, IsEmpty());
  EXPECT_THAT(world_.endings, ::testing::SizeIs(1)) << "the first rollout's";

  boot();
  EXPECT_TRUE(is_just_booted(world_.observed));
  EXPECT_THAT(classify(world_.progress, world_.observed, kShutdownSettings), IsEmpty());
  while (world_.observed.busy.empty()) world_.step();
  EXPECT_THAT(classify(world_.progress, world_.observed, kShutdownSettings), IsEmpty());
  ASSERT_TRUE(world_.settle());
  EXPECT_EQ(world_.version_serving("web"), "v1");
  EXPECT_FALSE(world_.progress.shutdown);
  EXPECT_THAT(world_.notes, IsEmpty());
}

TEST_F(Shutdowns, WhatCannotBeMadeAgainAfterABootIsDrift) {
  apply(three("v1"));
  boot();
  world_.observed.job_failures.emplace(ServiceName{"db"}, JobFailure{{Errc::runtime, "no"}, {}, 1});
  const auto drift = classify(world_.progress, world_.observed, kShutdownSettings);
  ASSERT_EQ(drift.size(), 1U);
  EXPECT_EQ(drift.front().key(), "db/missing");
}

TEST_F(Shutdowns, ARolloutUnderWayGoesOnInTheNextLife) {
  apply(three("v1"));
  world_.apply(make_deployment(three("v2")));
  for (int i = 0; i < 6; ++i) world_.step();
  ASSERT_TRUE(world_.progress.rollout);
  go_down(world_);
  EXPECT_TRUE(end_all(world_));
  EXPECT_TRUE(world_.progress.rollout);
  boot();
  ASSERT_TRUE(world_.settle());
  EXPECT_FALSE(world_.progress.rollout);
  EXPECT_THAT(world_.quarantined, IsEmpty());
}

TEST_F(Shutdowns, CalledOffItStartsAgainWhatRan) {
  auto once = std::make_shared<proto::Deployment>(*make_deployment(three("v1")));
  once->services.at(ServiceName{"api"}).restart = proto::Restart::never;
  world_.apply(once);
  ASSERT_TRUE(world_.settle());
  world_.progress = stop_service(world_.progress, ServiceName{"web"}, {"root", "x", {}, {}});
  ASSERT_TRUE(world_.settle());
  go_down(world_);
  EXPECT_TRUE(end_all(world_));
  world_.progress = call_off_shutdown(world_.progress, world_.observed);
  world_.observed.shutdown.reset();
  ASSERT_TRUE(world_.settle());
  EXPECT_EQ(lives(world_), 2U) << "db and api; web stays stopped";
}

TEST_F(Shutdowns, AnAgentThatWasKilledKnowsWhatEndedAndWhy) {
  apply(three("v1"));
  go_down(world_, 90'000ms);
  world_.progress.shutdown = world_.observed.shutdown;
  const auto read = decode_progress(encode_progress(world_.progress), world_.now);
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->shutdown, world_.progress.shutdown);
}

/// Services that stand on some of those before them.
Shapes random_shapes(std::mt19937& random, const std::string& version, bool backwards) {
  Shapes shapes;
  const int count = 2 + static_cast<int>(random() % 12);
  for (int i = 0; i < count; ++i) {
    ServiceShape shape{.version = version, .replace = random() % 4 == 0};
    for (int j = 0; j < i; ++j)
      if (random() % 3 == 0)
        shape.depends_on.push_back("s" + std::to_string(backwards ? count - 1 - j : j));
    shapes["s" + std::to_string(backwards ? count - 1 - i : i)] = shape;
  }
  return shapes;
}

TEST(ShutdownsProperty, EndInOrderFromAnyPlaceWhateverDependsOnWhat) {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    std::mt19937 random{seed};
    PlanWorld world{seed};
    world.apply(make_deployment(random_shapes(random, "v1", false)));
    const bool settled = random() % 2 == 0;
    if (settled) {
      ASSERT_TRUE(world.settle()) << seed;
    }
    // The other document's order may be the opposite: together they go in circles.
    if (settled && random() % 2 == 0)
      world.apply(make_deployment(random_shapes(random, "v2", true)));
    const bool mixed = world.progress.rollout.has_value() && settled;
    for (auto steps = random() % 40; steps > 0; --steps) world.step();
    world.stop_takes = Milliseconds{random() % 3000};
    go_down(world);
    const auto before = world.progress;
    for (int i = 0; i < 2000 && lives(world) + world.observed.busy.size() > 0; ++i) {
      if (random() % 16 == 0) {  // kill -9, and started again in the same life of the host
        const auto shutdown = world.observed.shutdown;
        const auto progress = world.progress;
        world.restart_agent();
        world.progress = progress;
        world.observed.shutdown = shutdown;
      }
      const auto decision = world.step();
      const auto above = dependents(world.progress, world.observed);
      for (const auto& action : decision.actions) {
        const auto* stop = std::get_if<Stop>(&action);
        ASSERT_NE(stop, nullptr) << seed << ": something other than a stop";
        if (mixed || stop->rule.signal == "SIGKILL") continue;
        for (const auto& name : above.at(stop->service))
          EXPECT_FALSE(living(world.progress, world.observed).contains(name))
              << seed << ": " << stop->service.str() << " ends before " << name.str();
      }
    }
    EXPECT_EQ(lives(world), 0U) << seed;
    EXPECT_EQ(world.progress, before) << seed;
  }
}

}  // namespace
}  // namespace holdfast::test
