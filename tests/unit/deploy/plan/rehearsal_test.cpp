#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/plan_world.hpp"

namespace holdfast::test {
namespace {

using namespace deploy::plan;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Kind = RehearsalVerdict::Kind;

PlanWorld two_generations() {
  PlanWorld world{1};
  world.apply(make_deployment({{"db", {}}, {"web", {.port = 80, .depends_on = {"db"}}}}));
  EXPECT_TRUE(world.settle());
  world.apply(make_deployment(
      {{"db", {.version = "v2"}}, {"web", {.version = "v2", .port = 80, .depends_on = {"db"}}}}));
  EXPECT_TRUE(world.settle());
  return world;
}

void rehearse(PlanWorld& world) {
  world.progress = begin_rehearsal(world.progress, GenerationId{1}, "test", "", world.now);
}

TEST(Rehearsal, PassesBesideWhatServesAndLeavesNothingBehind) {
  auto world = two_generations();
  const auto routes = world.observed.routing->ports;
  const auto serving = world.progress.serving;
  rehearse(world);
  bool both = false;
  while (world.progress.rehearsal) {
    world.step();
    EXPECT_EQ(world.observed.routing->ports, routes);
    both = both || world.observed.instances.size() == 4;
  }
  EXPECT_TRUE(both);
  EXPECT_EQ(world.progress.rehearsed->kind, Kind::passed);
  EXPECT_EQ(world.progress.serving, serving);
  EXPECT_TRUE(world.settle());
  EXPECT_EQ(world.observed.instances.size(), 2U);
  EXPECT_THAT(world.violations, IsEmpty());
}

TEST(Rehearsal, ThoseThatRehearseReachEachOtherAndNotWhatServes) {
  auto world = two_generations();
  const auto db = world.progress.addresses.at(ServiceName{"db"});
  const auto live = world.observed.routing->services.at(db);
  rehearse(world);
  bool staged = false;
  while (world.progress.rehearsal) {
    world.step();
    for (const auto& [key, target] : world.observed.routing->staged) {
      staged = staged || key.second == db;
      EXPECT_NE(target, live);
    }
    EXPECT_EQ(world.observed.routing->services.at(db), live);
  }
  EXPECT_TRUE(staged);
}

TEST(Rehearsal, FailsWhenTheTargetExitsOrStaysUnhealthy) {
  for (const bool crash : {true, false}) {
    auto world = two_generations();
    (crash ? world.crashing : world.sick).insert("v1");
    rehearse(world);
    while (world.progress.rehearsal) world.step();
    EXPECT_EQ(world.progress.rehearsed->kind, Kind::failed);
    EXPECT_THAT(world.progress.rehearsed->reason,
                HasSubstr(crash ? "db exited with code 1" : "db was not healthy within 20s"));
    EXPECT_EQ(world.version_serving("web"), "v2");
    EXPECT_FALSE(world.progress.rollout);
  }
}

TEST(Rehearsal, IsCutOffByARollbackWhichDoesNotWaitForIt) {
  auto world = two_generations();
  rehearse(world);
  while (world.progress.rehearsal->instances.empty()) world.step();
  world.rollback_to(1);
  while (world.progress.rollout) world.step();
  ASSERT_TRUE(world.progress.rehearsed);
  EXPECT_EQ(world.progress.rehearsed->kind, Kind::interrupted);
  EXPECT_EQ(world.version_serving("web"), "v1");
  EXPECT_TRUE(world.settle());
  EXPECT_EQ(world.observed.instances.size(), 2U);
}

TEST(Rehearsal, WaitsForTheRolloutUnderWay) {
  auto world = two_generations();
  world.apply(make_deployment({{"db", {.version = "v3"}}, {"web", {.version = "v3", .port = 80}}}));
  rehearse(world);
  while (world.progress.rollout) {
    world.step();
    ASSERT_TRUE(world.progress.rehearsal);
    if (world.progress.rollout) {
      EXPECT_TRUE(world.progress.rehearsal->instances.empty());
    }
  }
  while (world.progress.rehearsal) world.step();
  EXPECT_EQ(world.progress.rehearsed->kind, Kind::passed);
}

TEST(Rehearsal, SurvivesAnAgentThatIsKilled) {
  for (std::uint32_t seed = 1; seed <= 50; ++seed) {
    auto world = two_generations();
    rehearse(world);
    for (std::uint32_t i = 0; i < seed % 25 && world.progress.rehearsal; ++i) world.step();
    world.restart_agent();
    for (int i = 0; i < 2'000 && world.progress.rehearsal; ++i) world.step();
    ASSERT_TRUE(world.progress.rehearsed) << "seed " << seed;
    EXPECT_EQ(world.progress.rehearsed->kind, Kind::passed) << "seed " << seed;
    EXPECT_TRUE(world.settle()) << "seed " << seed;
    EXPECT_EQ(world.observed.instances.size(), 2U) << "seed " << seed;
  }
}

TEST(Rehearsal, GetsNoPortNoWritableVolumeAndNoRestart) {
  auto service = make_deployment({{"web", {.port = 80}}})->services.at(ServiceName{"web"});
  service.volumes = {{"data", "/data", false}, {"/srv/config", "/etc/app", true}};
  const auto made = as_rehearsed(service);
  ASSERT_TRUE(made);
  EXPECT_THAT(made->publish, IsEmpty());
  EXPECT_EQ(made->volumes, (std::vector<proto::VolumeMount>{{"/srv/config", "/etc/app", true}}));
  EXPECT_THAT(made->tmpfs, Contains(proto::TmpfsMount{"/data", {}}));
  service.network = proto::NetworkMode::host;
  std::string why_not;
  EXPECT_FALSE(as_rehearsed(service, &why_not));
  EXPECT_THAT(why_not, HasSubstr("network of the host"));
}

TEST(Standby, AServiceKeepsTheLastFourHoweverManyDocumentsCome) {
  PlanWorld world{1};
  std::vector<InstanceId> served;
  const auto frozen = [&](const InstanceId& id) {
    return world.progress.retired.contains(id) && world.progress.retired.at(id).standby &&
           world.observed.instances.at(id).seen.state == InstanceState::frozen;
  };
  for (int i = 1; i <= 7; ++i) {
    auto next = std::make_shared<proto::Deployment>(
        *make_deployment({{"web", {.version = "v" + std::to_string(i), .port = 80}}}));
    next->services.at(ServiceName{"web"}).update.standby = std::chrono::hours{1};
    world.apply(std::move(next));
    for (int steps = 0; steps < 10'000; ++steps) {
      world.step();
      if (!world.progress.rollout && (served.empty() || frozen(served.back()))) break;
    }
    served.push_back(world.progress.serving.at(ServiceName{"web"}));
  }
  world.step();
  EXPECT_TRUE(world.progress.retired.contains(served[2]));
  for (std::size_t i = 0; i + 1 < served.size(); ++i)
    EXPECT_EQ(frozen(served[i]), i >= 2) << "of six the last four: " << i;
  EXPECT_TRUE(world.settle());
  EXPECT_FALSE(world.observed.instances.contains(served[0]));
}

class DyingStandby : public ::testing::Test {
 protected:
  void SetUp() override {
    world_.apply(make_deployment({{"web", {.port = 80}}}));
    ASSERT_TRUE(world_.settle());
    first_ = world_.progress.serving.at(web_);
    world_.apply(make_deployment({{"web", {.version = "v2", .port = 80}}}));
    while (world_.progress.rollout || !world_.progress.retired.contains(first_) ||
           world_.observed.instances.at(first_).seen.state != InstanceState::frozen)
      world_.step();
  }
  void end_first() {
    auto& seen = world_.observed.instances.at(first_).seen;
    seen.state = InstanceState::exited;
    seen.exit = ExitInfo{1, false, world_.observed.wall};
  }
  PlanWorld world_{1};
  ServiceName web_{"web"};
  InstanceId first_;
};

TEST_F(DyingStandby, WhenItIsThawedItIsStartedAgainInPlaceAndTheRollbackGoesOn) {
  world_.rollback_to(1);
  world_.step();
  ASSERT_EQ(world_.progress.rollout->fresh.at(web_), first_);
  end_first();
  ASSERT_TRUE(world_.settle());
  EXPECT_EQ(world_.progress.current, GenerationId{1});
  EXPECT_EQ(world_.progress.serving.at(web_), first_) << "neither disk nor network is needed";
}

TEST_F(DyingStandby, BeforeTheRollbackItIsStartedAgainToo) {
  end_first();
  world_.rollback_to(1);
  ASSERT_TRUE(world_.settle());
  EXPECT_EQ(world_.progress.current, GenerationId{1});
  EXPECT_EQ(world_.progress.serving.at(web_), first_);
}

TEST_F(DyingStandby, ThatCannotBeStartedAgainIsReplaced) {
  world_.rollback_to(1);
  world_.step();
  end_first();
  world_.observed.job_failures.insert_or_assign(
      web_, JobFailure{Error{Errc::runtime, "its network namespace is gone"}, world_.now, 1, {}});
  ASSERT_TRUE(world_.settle());
  EXPECT_EQ(world_.progress.current, GenerationId{1});
  EXPECT_NE(world_.progress.serving.at(web_), first_);
  EXPECT_FALSE(world_.observed.instances.contains(first_));
}

TEST(Standby, IsGivenUpWhenMemoryIsShortAndTheReasonIsRecorded) {
  PlanWorld world{1};
  world.apply(make_deployment({{"web", {.port = 80}}}));
  EXPECT_TRUE(world.settle());
  const auto first = world.progress.serving.at(ServiceName{"web"});
  world.apply(make_deployment({{"web", {.version = "v2", .port = 80}}}));
  while (world.progress.rollout || !world.progress.retired.contains(first) ||
         !world.progress.retired.at(first).standby)
    world.step();
  world.observed.memory_short = "memory is short";
  world.step();
  EXPECT_FALSE(world.progress.retired.contains(first));
  ASSERT_EQ(world.notes.back().kind, proto::EntryKind::standby_dropped);
  EXPECT_EQ(world.notes.back().reason, "memory is short");
  EXPECT_TRUE(world.settle());
  EXPECT_FALSE(world.observed.instances.contains(first));
}

}  // namespace
}  // namespace holdfast::test
