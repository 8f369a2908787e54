// A service that may end and ended well has completed: that is no fault and no drift, and it is not
// run again without being asked for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/plan_world.hpp"

namespace holdfast::test {
namespace {

using namespace deploy::plan;
using namespace std::chrono_literals;
using ::testing::IsEmpty;

const ServiceName kJob{"job"};
const ServiceName kWeb{"web"};
const Settings kHost{proto::Subnet{0x0A5A0000, 16}};

std::shared_ptr<const proto::Deployment> document(const std::string& job, const std::string& web,
                                                  proto::Restart restart = proto::Restart::never) {
  auto made = std::make_shared<proto::Deployment>(*make_deployment(
      {{"job", {.version = job, .probed = false}}, {"web", {.version = web, .port = 80}}}));
  made->services.at(kJob).restart = restart;
  return made;
}

class AwaitedOneShots : public ::testing::Test {
 protected:
  AwaitedOneShots() { world_.ends = {{"j1", 0}, {"j2", 0}, {"bad", 3}}; }
  PlanWorld world_{1};
};

class OneShots : public ::testing::TestWithParam<proto::Restart> {
 protected:
  OneShots() { world_.ends = {{"j1", 0}, {"j2", 0}, {"bad", 3}}; }
  void apply(const std::string& job, const std::string& web) {
    world_.apply(document(job, web, GetParam()));
    ASSERT_TRUE(world_.settle());
  }
  std::size_t runs() {
    return static_cast<std::size_t>(
        std::count_if(world_.touched.begin(), world_.touched.end(),
                      [](const auto& row) { return row.first.str().starts_with("job-"); }));
  }
  std::vector<Drift> drift() { return classify(world_.progress, world_.observed, kHost); }
  void reboot() {
    world_.restart_agent();
    for (auto& [id, view] : world_.observed.instances) {
      view.seen.state = InstanceState::broken;
      view.seen.earlier_boot = true;
      view.seen.exit.reset();
      view.health = {};
    }
    ASSERT_TRUE(world_.settle());
  }
  PlanWorld world_{1};
};

TEST_P(OneShots, OneThatEndsWellPassesTheGateAndIsNoDrift) {
  apply("j1", "w1");
  EXPECT_EQ(world_.progress.good, GenerationId{1});
  EXPECT_THAT(drift(), IsEmpty());
  EXPECT_EQ(world_.observed.instances.at(world_.progress.serving.at(kJob)).seen.state,
            InstanceState::exited);
  EXPECT_TRUE(
      completed_at(world_.progress, kJob, document("j1", "w1", GetParam())->services.at(kJob)));
  EXPECT_EQ(
      std::count_if(world_.notes.begin(), world_.notes.end(),
                    [](const auto& each) { return each.kind == proto::EntryKind::completed; }),
      1);
}

/// Under load nobody sees it run: the first look at it finds it ended.
TEST_P(OneShots, OneThatWasStartedAgainHasCompletedHoweverSoonItEnds) {
  apply("j1", "w1");
  const auto wanted = document("j1", "w1", GetParam())->services.at(kJob);
  auto& view = world_.observed.instances.at(world_.progress.serving.at(kJob));
  world_.progress = restart_service(world_.progress, world_.observed, kJob);
  EXPECT_FALSE(completes_now(world_.progress, view, kJob, wanted))
      << "its end is of the run before";
  ++view.seen.starts;
  const auto decision = decide(world_.progress, world_.observed, kHost, world_.now);
  EXPECT_TRUE(completed_at(decision.progress, kJob, wanted));
  EXPECT_THAT(classify(decision.progress, world_.observed, kHost), IsEmpty());
}

TEST_F(AwaitedOneShots, WhoDependsOnOneThatIsRestartedAfterAFailureWaitsUntilItIsReady) {
  auto wanted =
      std::make_shared<proto::Deployment>(*document("j1", "w1", proto::Restart::on_failure));
  wanted->services.at(kWeb).depends_on = {kJob};
  world_.ends.erase("j1");  // it runs on, as a server does
  world_.apply(wanted);
  ASSERT_TRUE(world_.settle());
  EXPECT_EQ(world_.progress.good, GenerationId{1});
  EXPECT_EQ(world_.version_serving("web"), "w1");
}

TEST_F(AwaitedOneShots, WhoDependsOnOneWaitsForItsEnd) {
  auto wanted = std::make_shared<proto::Deployment>(*document("j1", "w1", proto::Restart::never));
  wanted->services.at(kWeb).depends_on = {kJob};
  world_.ends.erase("j1");  // it runs on
  world_.apply(wanted);
  const auto limit = world_.now + wanted->services.at(kJob).update.deadline - 1s;
  while (world_.now < limit) (void)world_.step();
  EXPECT_FALSE(world_.progress.serving.contains(kWeb)) << "nothing was switched";
  EXPECT_FALSE(world_.progress.rollout->fresh.contains(kWeb)) << "nor begun";
  world_.ends = {{"j1", 0}};
  ASSERT_TRUE(world_.settle());
  EXPECT_EQ(world_.progress.good, GenerationId{1});
  EXPECT_EQ(world_.version_serving("web"), "w1");
}

TEST_F(AwaitedOneShots, OneThatOthersWaitForEndsWithinItsDeadline) {
  auto wanted = std::make_shared<proto::Deployment>(*document("j1", "w1", proto::Restart::never));
  wanted->services.at(kWeb).depends_on = {kJob};
  world_.ends.erase("j1");
  world_.apply(wanted);
  ASSERT_TRUE(world_.settle());
  EXPECT_EQ(world_.progress.good, GenerationId{});
  ASSERT_FALSE(world_.endings.empty());
  EXPECT_THAT(world_.endings.back().reason, ::testing::HasSubstr("had not ended, and others wait"));
}

TEST_P(OneShots, OneThatEndsBadlyBeforeGoodIsAFailedUpdate) {
  apply("j1", "w1");
  apply("bad", "w2");
  EXPECT_EQ(world_.progress.current, GenerationId{1});
  EXPECT_TRUE(world_.quarantined.contains(GenerationId{2}));
}

TEST_P(OneShots, NeitherAnUpdateOfOthersNorARestartNorARebootRunsItAgain) {
  apply("j1", "w1");
  const auto once = runs();
  apply("j1", "w2");
  world_.restart_agent();
  ASSERT_TRUE(world_.settle());
  EXPECT_EQ(runs(), once);
  reboot();
  EXPECT_FALSE(world_.progress.serving.contains(kJob)) << "what was left of it is gone";
  EXPECT_EQ(runs(), once);
  EXPECT_THAT(drift(), IsEmpty());
  apply("j1", "w3");
  EXPECT_EQ(runs(), once);
  EXPECT_EQ(world_.version_serving("web"), "w3");
}

TEST_P(OneShots, ARollbackRunsItNotAgainButANewDocumentDoes) {
  apply("j1", "w1");
  apply("j2", "w2");
  const auto before = runs();
  world_.rollback_to(1);
  ASSERT_TRUE(world_.settle());
  EXPECT_EQ(world_.version_serving("web"), "w1");
  EXPECT_EQ(world_.progress.current, GenerationId{1});
  EXPECT_THAT(drift(), IsEmpty());
  EXPECT_EQ(runs(), before);
  apply("j1", "w3");
  EXPECT_EQ(runs(), before) << "it is as it was";
  apply("j2", "w3");
  EXPECT_GT(runs(), before) << "it is another job, wanted again";
}

INSTANTIATE_TEST_SUITE_P(Rules, OneShots,
                         ::testing::Values(proto::Restart::never, proto::Restart::on_failure));

TEST(OneShot, OneThatEndsBadlyAfterGoodIsDrift) {
  PlanWorld world{2};
  world.apply(document("slow", "w1"));
  ASSERT_TRUE(world.settle());
  world.kill("job", 3);
  ASSERT_TRUE(world.settle());
  const auto drift = classify(world.progress, world.observed, kHost);
  ASSERT_EQ(drift.size(), 1U);
  EXPECT_EQ(drift[0].evidence, "exit code 3");
  EXPECT_FALSE(completed_at(world.progress, kJob, document("slow", "w1")->services.at(kJob)));
}

TEST(OneShot, OneThatEndsLaterThanTheGateHasCompletedJustTheSame) {
  PlanWorld world{3};
  world.apply(document("slow", "w1"));
  while (world.progress.rollout && world.progress.rollout->phase != Phase::soaking) world.step();
  world.kill("job", 0);
  ASSERT_TRUE(world.settle());
  EXPECT_EQ(world.progress.good, GenerationId{1});
  EXPECT_THAT(classify(world.progress, world.observed, kHost), IsEmpty());
}

TEST(OneShot, AServiceThatMustRunHasNotCompleted) {
  PlanWorld world{4};
  world.ends["j1"] = 0;
  world.apply(document("j1", "w1", proto::Restart::always));
  while (world.progress.rollout) world.step();
  EXPECT_EQ(world.progress.good, GenerationId{});
}

TEST(OneShot, HowItEndedIsWaitedForBeforeItIsJudged) {
  // The process is gone, and its monitor has yet to write the code.
  PlanWorld world{5};
  world.apply(document("slow", "w1", proto::Restart::on_failure));
  ASSERT_TRUE(world.settle());
  world.kill("job", 0);
  auto& seen = world.observed.instances.at(world.progress.serving.at(kJob)).seen;
  seen.exit.reset();
  seen.code_pending = true;
  for (int i = 0; i < 5; ++i) world.step();
  EXPECT_EQ(seen.state, InstanceState::exited) << "it was not restarted";
  seen.exit = ExitInfo{0, false, {}};
  seen.code_pending = false;
  ASSERT_TRUE(world.settle());
  EXPECT_TRUE(completed_at(world.progress, kJob,
                           document("slow", "w1", proto::Restart::on_failure)->services.at(kJob)));
}

}  // namespace
}  // namespace holdfast::test
