#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/os/file.hpp"
#include "tests/support/fake_ports.hpp"
#include "tests/support/shop.hpp"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;
using deploy::plan::InstanceState;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string document(const std::string& version, const std::string& extra = "") {
  return shop_of(web(version, {kPublished, "update: {soak: 2s, deadline: 10s}"}) + extra);
}

class CoreTest : public ::testing::Test {
 protected:
  os::TempDir dir_ = os::TempDir::create("/tmp", "holdfast-core").value();
  FakeHost host_;
};

TEST_F(CoreTest, AnAppliedDocumentBecomesGood) {
  Agent agent{host_, dir_.path()};
  const auto accepted = agent.apply(document("1.0.0"));
  ASSERT_TRUE(accepted) << accepted.error().to_string();
  agent.run(10s);
  const auto now = agent.snapshot();
  EXPECT_EQ(now->status.state.text(), "converged");
  EXPECT_EQ(now->status.generation, 1U);
  ASSERT_THAT(now->records->history, SizeIs(1));
  EXPECT_EQ(now->records->history[0].result.text(), "good");
  EXPECT_THAT(host_.routing->ports, SizeIs(1));
  EXPECT_TRUE(agent.ledger().verify()->intact);
}

TEST_F(CoreTest, TheSameDocumentAgainChangesNothing) {
  Agent agent{host_, dir_.path()};
  ASSERT_TRUE(agent.apply(document("1.0.0")));
  agent.run(10s);
  const auto again = agent.apply(document("1.0.0"));
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->changed);
  agent.run(5s);
  EXPECT_EQ(host_.creates, 1);
}

TEST_F(CoreTest, TheStepsOfARollbackAreRecordedWithItsSwitch) {
  Agent agent{host_, dir_.path()};
  ASSERT_TRUE(agent.apply(document("1.0.0")));
  agent.run(10s);
  ASSERT_TRUE(agent.apply(document("2.0.0")));
  agent.run(30s);
  const auto before = agent.ledger().head()->number;
  const auto published = *host_.routing;
  ASSERT_TRUE(agent.rollback());
  const auto asked = agent.ledger().head()->number;
  EXPECT_GT(asked, before) << "the request is durable before anything happens";
  std::uint64_t at_switch = 0;
  host_.on_route = [&] { at_switch = at_switch == 0 ? agent.ledger().head()->number : at_switch; };
  agent.run(100ms);
  EXPECT_NE(*host_.routing, published);
  EXPECT_EQ(at_switch, asked) << "the switch waited for no other record";
  EXPECT_GT(agent.ledger().head()->number, asked);
  EXPECT_TRUE(agent.ledger().verify()->intact);
}

TEST_F(CoreTest, ASuspendedAgentGivesNoVerdictForTheTimeItDidNotRun) {
  Agent agent{host_, dir_.path()};
  ASSERT_TRUE(agent.apply(document("1.0.0")));
  agent.run(10s);
  ASSERT_TRUE(agent.apply(document("2.0.0")));
  agent.run(1s);
  ASSERT_TRUE(agent.snapshot()->status.rollout);
  ASSERT_EQ(agent.snapshot()->status.rollout->phase.text(), "soaking");
  EXPECT_EQ(agent.snapshot()->gauges.waiting.at("soak"), 1U);
  host_.clock.advance(60s);
  agent.core().suspended(60s);
  agent.run(1ms);
  ASSERT_TRUE(agent.snapshot()->status.rollout)
      << "two seconds of soak were declared, less was seen";
  EXPECT_EQ(agent.snapshot()->status.rollout->phase.text(), "soaking");
  agent.run(3s);
  EXPECT_FALSE(agent.snapshot()->status.rollout);
  EXPECT_EQ(agent.snapshot()->status.generation, 2U);
}

TEST_F(CoreTest, ConnectionsThatOutlastTheDrainAreCutAndCounted) {
  Agent agent{host_, dir_.path()};
  ASSERT_TRUE(agent.apply(document("1.0.0")));
  agent.run(10s);
  host_.open_connections = 3;
  ASSERT_TRUE(agent.apply(document("2.0.0")));
  agent.run(8s);
  EXPECT_EQ(agent.snapshot()->counters.reset_connections, 0U) << "they may drain";
  agent.run(20s);
  EXPECT_EQ(agent.snapshot()->counters.reset_connections, 3U);
  EXPECT_THAT(host_.frozen(), SizeIs(1));
}

TEST_F(CoreTest, ARollbackDuringTheFreezeFindsItsInstanceRunning) {
  Agent agent{host_, dir_.path()};
  ASSERT_TRUE(agent.apply(document("1.0.0", "    health: {tcp: 80}\n")));
  agent.run(10s);
  host_.open_connections = 3;  // the drain outlasts the rollout
  ASSERT_TRUE(agent.apply(document("2.0.0", "    health: {tcp: 80}\n")));
  bool asked = false;
  host_.during_freeze = [&] {
    if (std::exchange(asked, true)) return;
    agent.jobs().delayed = {deploy::engine::Jobs::Pool::probe};
    ASSERT_TRUE(agent.rollback());
    for (int i = 0; i < 3; ++i) (void)agent.core().reconcile(deploy::engine::Freshness::remembered);
  };
  for (int i = 0; i < 300 && !asked; ++i) agent.run(100ms);
  ASSERT_TRUE(asked);
  agent.run(500ms);
  EXPECT_THAT(host_.frozen(), IsEmpty())
      << "it is asked whether it is well, and would never answer";
  agent.jobs().delayed.clear();
  agent.jobs().release();
  agent.run(5s);
  EXPECT_EQ(agent.snapshot()->status.generation, 1U);
  EXPECT_EQ(agent.snapshot()->status.state.text(), "converged");
}

TEST_F(CoreTest, ARollbackDuringTheCutSparesTheInstanceItGoesBackTo) {
  Agent agent{host_, dir_.path()};
  ASSERT_TRUE(agent.apply(document("1.0.0")));
  agent.run(10s);
  host_.open_connections = 3;
  ASSERT_TRUE(agent.apply(document("2.0.0")));
  bool asked = false;
  host_.during_cut = [&] {
    if (std::exchange(asked, true)) return;
    ASSERT_TRUE(agent.rollback());
    for (int i = 0; i < 50; ++i) agent.core().reconcile(deploy::engine::Freshness::fresh);
  };
  agent.run(30s);
  ASSERT_TRUE(asked);
  EXPECT_EQ(host_.spared, 1);
  EXPECT_EQ(agent.snapshot()->status.generation, 1U);
  EXPECT_EQ(agent.snapshot()->status.state.text(), "converged");
}

TEST_F(CoreTest, ARollbackNeedsNoPullAndIsNotUndone) {
  Agent agent{host_, dir_.path()};
  ASSERT_TRUE(agent.apply(document("1.0.0")));
  agent.run(10s);
  ASSERT_TRUE(agent.apply(document("2.0.0")));
  agent.run(30s);
  ASSERT_EQ(agent.snapshot()->status.generation, 2U);
  const int pulls = host_.pulls;
  const auto back = agent.rollback();
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(back->generation, 1U);
  agent.run(5s);
  EXPECT_EQ(agent.snapshot()->status.generation, 1U);
  EXPECT_EQ(host_.pulls, pulls);
  const auto refused = agent.apply(document("2.0.0"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::quarantined);
  EXPECT_TRUE(agent.apply(document("2.0.1")));
}

TEST_F(CoreTest, ARollbackIsRefusedWhenAnImageIsMissing) {
  Agent agent{host_, dir_.path()};
  ASSERT_TRUE(agent.apply(document("1.0.0")));
  agent.run(10s);
  ASSERT_TRUE(agent.apply(document("2.0.0")));
  agent.run(30s);
  host_.local_images.erase(proto::Digest::of("1.0.0"));
  const auto refused = agent.rollback();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().what(), HasSubstr(proto::Digest::of("1.0.0").short_hex()));
  EXPECT_EQ(agent.snapshot()->status.generation, 2U);
}

TEST_F(CoreTest, AVersionThatCannotStartIsRolledBackWithItsReason) {
  Agent agent{host_, dir_.path()};
  ASSERT_TRUE(agent.apply(document("1.0.0")));
  agent.run(10s);
  host_.failing_creates.insert("web");
  ASSERT_TRUE(agent.apply(document("2.0.0")));
  agent.run(20s);
  const auto now = agent.snapshot();
  EXPECT_EQ(now->status.generation, 1U);
  EXPECT_EQ(now->records->history[0].result.text(), "failed");
  EXPECT_THAT(now->records->history[0].reason, HasSubstr("no such file"));
  EXPECT_TRUE(now->records->history[0].quarantined);
  EXPECT_EQ(now->counters.rollbacks.at("automatic"), 1U);
}

TEST_F(CoreTest, AFirstVersionThatCannotStartHasNothingToGoBackTo) {
  Agent agent{host_, dir_.path()};
  host_.failing_creates.insert("web");
  ASSERT_TRUE(agent.apply(document("1.0.0")));
  agent.run(20s);
  const auto now = agent.snapshot();
  EXPECT_EQ(now->status.generation, 0U);
  EXPECT_EQ(now->counters.rollouts.at("failed"), 1U);
  EXPECT_EQ(now->counters.rollbacks.at("automatic"), 0U);
}

TEST_F(CoreTest, ARollbackThatFailsIsCountedAsFailedAndNotAsOneThatHappened) {
  Agent agent{host_, dir_.path()};
  ASSERT_TRUE(agent.apply(document("1.0.0")));
  agent.run(10s);
  ASSERT_TRUE(agent.apply(document("2.0.0")));
  agent.run(1h);
  host_.failing_creates.insert("web");
  ASSERT_TRUE(agent.rollback());
  agent.run(60s);
  const auto now = agent.snapshot();
  ASSERT_EQ(now->status.generation, 2U);
  EXPECT_EQ(now->counters.rollbacks.at("operator"), 0U);
  EXPECT_EQ(now->counters.rollbacks.at("automatic"), 0U);
  EXPECT_EQ(now->counters.rollouts.at("failed"), 1U);
}

TEST_F(CoreTest, ARegistryThatIsAwayFailsTheApplyWithoutQuarantine) {
  Agent agent{host_, dir_.path()};
  ASSERT_TRUE(agent.apply(document("1.0.0")));
  agent.run(10s);
  host_.pull_errors.emplace(proto::Digest::of("2.0.0"),
                            Error{Errc::unreachable, "connection refused"});
  ASSERT_TRUE(agent.apply(document("2.0.0")));
  agent.run(60s);
  EXPECT_EQ(agent.snapshot()->status.generation, 1U);
  EXPECT_EQ(agent.snapshot()->status.state.text(), "converged");
  EXPECT_FALSE(agent.snapshot()->records->history[0].quarantined);
  EXPECT_EQ(agent.snapshot()->counters.rollouts.at("failed"), 1U);
  EXPECT_EQ(agent.snapshot()->counters.rollbacks.at("automatic"), 0U) << "nothing had begun";
  host_.pull_errors.clear();
  EXPECT_TRUE(agent.apply(document("2.0.0")));
}

TEST_F(CoreTest, ATakenPortIsRefusedBeforeAnythingChanges) {
  Agent agent{host_, dir_.path()};
  host_.taken_ports.insert({0, proto::Transport::tcp, 8080});
  const auto refused = agent.apply(document("1.0.0"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::port_in_use);
  EXPECT_THAT(refused.error().what(), HasSubstr("8080"));
  EXPECT_THAT(agent.snapshot()->records->history, SizeIs(0));
}

TEST_F(CoreTest, AnAlteredRoutingTableIsRepaired) {
  Agent agent{host_, dir_.path()};
  ASSERT_TRUE(agent.apply(document("1.0.0")));
  agent.run(10s);
  const auto before = *host_.routing;
  host_.routing.reset();
  agent.run(60s);
  EXPECT_EQ(host_.routing, before);
}

TEST_F(CoreTest, AServiceThatHasYetToAnswerIsNotCalledConverged) {
  Agent agent{host_, dir_.path()};
  ASSERT_TRUE(agent.apply(document("1.0.0", "    health: {tcp: 80}\n")));
  agent.run(10s);
  for (auto& [id, instance] : host_.instances) {
    instance.state = InstanceState::exited;
    instance.exit = deploy::plan::ExitInfo{1, false, host_.clock.wall()};
  }
  std::set<std::string> seen;
  for (int i = 0; i < 10'000; ++i) {
    agent.run(10ms);
    const auto now = agent.snapshot();
    const auto& web = now->status.services.front();
    if (seen.empty() && web.health == "healthy") continue;  // the next look is yet to come
    seen.insert(web.state.str() + "/" + web.health.str());
    ASSERT_NE(web.health.text(), "none");
    const bool well = web.state == "running" && web.health == "healthy";
    ASSERT_EQ(now->status.state.text(), well ? "converged" : "degraded")
        << web.state.text() << " " << web.health.text() << " " << now->status.message;
  }
  EXPECT_THAT(seen, ::testing::IsSupersetOf({"running/starting", "running/healthy"}));
}

TEST_F(CoreTest, AKilledAgentAdoptsWhatRuns) {
  {
    Agent agent{host_, dir_.path()};
    ASSERT_TRUE(agent.apply(document("1.0.0")));
    agent.run(10s);
  }
  Agent again{host_, dir_.path()};
  again.run(10s);
  EXPECT_EQ(again.snapshot()->status.state.text(), "converged");
  EXPECT_EQ(host_.creates, 1);
  EXPECT_THAT(host_.instances, SizeIs(1));
}

TEST_F(CoreTest, AnAgentKilledAtAnyMomentOfARollOutGoesOn) {
  for (int cut_ms = 0; cut_ms < 6'000; cut_ms += 250) {
    FakeHost host;
    const auto dir = os::TempDir::create("/tmp", "holdfast-cut").value();
    {
      Agent agent{host, dir.path()};
      ASSERT_TRUE(agent.apply(document("1.0.0")));
      agent.run(10s);
      ASSERT_TRUE(agent.apply(document("2.0.0")));
      agent.run(Milliseconds{cut_ms});
    }
    Agent again{host, dir.path()};
    again.run(40s);
    EXPECT_EQ(again.snapshot()->status.generation, 2U) << "cut after " << cut_ms << " ms";
    EXPECT_EQ(again.snapshot()->status.state.text(), "converged")
        << "cut after " << cut_ms << " ms";
    EXPECT_TRUE(again.ledger().verify()->intact);
  }
}

TEST_F(CoreTest, OldImagesAreCollectedAndRetainedOnesKept) {
  Agent agent{host_, dir_.path(), 2};
  for (const auto* version : {"1.0.0", "2.0.0", "3.0.0", "4.0.0"}) {
    ASSERT_TRUE(agent.apply(document(version)));
    agent.run(1000s);
  }
  EXPECT_THAT(host_.local_images, SizeIs(2));
  EXPECT_THAT(host_.local_images, Contains(proto::Digest::of("3.0.0")));
}

TEST_F(CoreTest, GenerationsThatWereRolledBackFromPushNoOtherOut) {
  Agent agent{host_, dir_.path(), 3};
  for (const auto* version : {"1.0.0", "2.0.0"}) {
    ASSERT_TRUE(agent.apply(document(version)));
    agent.run(1000s);
  }
  for (const auto* version : {"3.0.0", "4.0.0", "5.0.0", "6.0.0"}) {
    ASSERT_TRUE(agent.apply(document(version)));
    agent.run(1000s);
    ASSERT_TRUE(agent.rollback());
    agent.run(1000s);
  }
  EXPECT_THAT(host_.local_images, Contains(proto::Digest::of("1.0.0")));
  EXPECT_THAT(host_.local_images, Contains(proto::Digest::of("2.0.0")));
  EXPECT_THAT(host_.local_images, Contains(proto::Digest::of("6.0.0"))) << "who names it gets it";
  EXPECT_THAT(host_.local_images, SizeIs(5));
}

TEST_F(CoreTest, EveryImageThatIsNeededIsRetainedWithItsReason) {
  Agent agent{host_, dir_.path()};
  ASSERT_TRUE(agent.apply(document("1.0.0")));
  EXPECT_THAT(host_.retained.at(proto::Digest::of("1.0.0")), Contains("being applied"));
  agent.run(10s);
  ASSERT_TRUE(agent.apply(document("2.0.0")));
  agent.run(10s);
  EXPECT_THAT(host_.retained.at(proto::Digest::of("2.0.0")), Contains("current"));
  const auto& first = host_.retained.at(proto::Digest::of("1.0.0"));
  EXPECT_THAT(first, Contains("generation 1"));
  EXPECT_THAT(first, Contains(HasSubstr("standby web-")));
}

TEST_F(CoreTest, ADamagedLayerIsDriftWhereItRunsAndStopsARollbackThatNeedsIt) {
  Agent agent{host_, dir_.path()};
  for (const char* version : {"1.0.0", "2.0.0"}) {
    ASSERT_TRUE(agent.apply(document(version)));
    agent.run(10s);
  }
  const Error damage{Errc::layer_corrupt, "layer abc of image 1.0.0 is damaged on disk"};
  host_.damaged_images.emplace(proto::Digest::of("1.0.0"), damage);
  agent.core().images_changed("", kRoot);
  agent.run(1s);
  EXPECT_TRUE(agent.snapshot()->status.drift.empty()) << "what runs is whole";
  EXPECT_FALSE(agent.snapshot()->status.rollback.ready);
  EXPECT_THAT(agent.snapshot()->status.rollback.reason, HasSubstr("layer abc"));
  const auto refused = agent.rollback();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::layer_corrupt);

  host_.damaged_images.emplace(proto::Digest::of("2.0.0"), damage);
  const int creates = host_.creates;
  agent.core().images_changed("", kRoot);
  agent.run(10s);
  ASSERT_THAT(agent.snapshot()->status.drift, SizeIs(1));
  EXPECT_EQ(agent.snapshot()->status.drift.front().kind.text(), "layer_damaged");
  EXPECT_EQ(agent.snapshot()->status.services.front().state.text(), "running");
  EXPECT_EQ(host_.creates, creates) << "what runs is left alone";

  host_.damaged_images.clear();
  agent.core().images_changed("1 images, 2 layers", kRoot);
  agent.run(1s);
  EXPECT_TRUE(agent.snapshot()->status.drift.empty());
  EXPECT_EQ(agent.snapshot()->counters.drift_detected.at("layer_damaged"), 1U)
      << "one finding for as long as it lasts";
  EXPECT_EQ(agent.snapshot()->counters.drift_repaired.at("layer_damaged"), 1U);
  EXPECT_TRUE(agent.rollback());
}

TEST_F(CoreTest, PullsThatASourceAsksForAreSpreadOverTheJitterAndThoseOfPeopleAreNot) {
  Agent agent{host_, dir_.path()};
  proto::AgentConfig config;
  config.resync = 2s;
  config.pull_jitter = std::chrono::hours{1};
  agent.core().reconfigure(config.live());
  agent.core().commands().sources.changed(candidate(document("1.0.0"), "shop.yaml"), "shop.yaml");
  agent.run(30s);
  EXPECT_EQ(host_.pulls, 0) << "resyncs draw no new lot";
  EXPECT_EQ(agent.snapshot()->status.rollout->phase.text(), "staging");
  agent.run(1h);
  EXPECT_EQ(host_.pulls, 1);
  EXPECT_EQ(agent.snapshot()->status.state.text(), "converged");
  ASSERT_TRUE(agent.apply(document("2.0.0")));
  agent.run(1s);
  EXPECT_EQ(host_.pulls, 2);
}

TEST_F(CoreTest, AServiceThatAFailedRolloutDidNotNameKeepsItsCounters) {
  Agent agent{host_, dir_.path()};
  ASSERT_TRUE(agent.apply(document("1.0.0")));
  agent.run(10s);
  for (auto& [id, instance] : host_.instances) {
    instance.state = InstanceState::exited;
    instance.exit = deploy::plan::ExitInfo{137, false, host_.clock.wall()};
  }
  agent.core().attention().mark_changed();
  agent.run(10s);
  ASSERT_EQ(agent.snapshot()->status.services.front().restarts, 1U);

  host_.unstartable.insert(proto::Digest::of("2.0.0"));
  auto other = document("2.0.0");
  other.replace(other.find("  web:"), 6, "  api:");
  ASSERT_TRUE(agent.apply(other));
  agent.run(30s);
  ASSERT_EQ(agent.snapshot()->status.generation, 1U);
  EXPECT_EQ(agent.snapshot()->status.services.front().restarts, 1U);
  EXPECT_EQ(agent.snapshot()->counters.workloads.at("web").restarts, 1U);
  EXPECT_FALSE(agent.snapshot()->counters.workloads.contains("api"));
}

TEST_F(CoreTest, ARollbackThatFailsQuarantinesNothingThatKeepsServing) {
  Agent agent{host_, dir_.path()};
  for (const auto* version : {"1.0.0", "2.0.0"}) {
    ASSERT_TRUE(agent.apply(document(version)));
    agent.run(30s);
  }
  ASSERT_TRUE(agent.core().commands().standby.drop({"to create it again"}, kRoot));
  agent.run(30s);
  host_.unstartable.insert(proto::Digest::of("1.0.0"));
  ASSERT_TRUE(agent.rollback());
  agent.run(60s);
  const auto now = agent.snapshot();
  EXPECT_EQ(now->status.generation, 2U);
  EXPECT_TRUE(now->records->quarantine.empty());
  const auto again = agent.apply(document("2.0.0"));
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_FALSE(again->changed) << "it runs already";

  ASSERT_TRUE(agent.apply(document("3.0.0")));
  agent.run(30s);
  ASSERT_TRUE(agent.rollback());
  agent.run(30s);
  EXPECT_EQ(agent.snapshot()->status.generation, 2U) << "the last that was good, not one before it";
}

}  // namespace
}  // namespace holdfast::test
