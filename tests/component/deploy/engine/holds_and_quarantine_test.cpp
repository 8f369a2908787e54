// Holds, the quarantine, windows, and applies that meet each other: the engine over a real ledger.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "common/os/file.hpp"
#include "proto/api/codec.hpp"
#include "tests/support/fake_ports.hpp"
#include "tests/support/shop.hpp"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;
using deploy::plan::Trigger;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr const char* kFile = "/etc/holdfast/deployment.yaml";

std::string shop(const std::string& version, const std::string& window = "") {
  const auto rest = window.empty() ? "}" : ", window: " + window + "}";
  return shop_of(web(version, {kPublished, "update: {soak: 2s, deadline: 10s" + rest}));
}

class HoldsAndQuarantineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    host_.clock.set_wall(parse_rfc3339("2026-11-23T12:00:00Z").value());  // a Monday
    begin();
  }
  void begin() {
    agent_.reset();
    agent_ = std::make_unique<Agent>(host_, dir_.path());
  }
  void good(const std::string& version) {
    const auto accepted = agent_->apply(shop(version));
    ASSERT_TRUE(accepted) << accepted.error().to_string();
    agent_->run(15s);
    ASSERT_EQ(status().state.text(), "converged") << status().message;
  }
  [[nodiscard]] proto::api::Status status() const { return agent_->snapshot()->status; }
  [[nodiscard]] std::string result_of(std::uint64_t generation) const {
    for (const auto& item : agent_->snapshot()->records->history)
      if (item.generation == generation) return item.result.str();
    return "";
  }
  [[nodiscard]] std::uint64_t entries(proto::EntryKind kind) {
    const auto all = agent_->ledger().entries(0, 1000).value();
    return static_cast<std::uint64_t>(std::count_if(
        all.begin(), all.end(), [&](const auto& row) { return row.entry.kind == kind; }));
  }
  [[nodiscard]] std::vector<proto::api::Outcome> outcomes() {
    std::vector<proto::api::Outcome> found;
    for (const auto& event : agent_->core().events().after(0, 10'000))
      if (event.kind == "result")
        found.push_back(proto::api::decode<proto::api::Outcome>(event.detail).value());
    return found;
  }
  deploy::engine::Core& core() { return agent_->core(); }

  os::TempDir dir_ = os::TempDir::create("/tmp", "holdfast-holds").value();
  FakeHost host_;
  std::unique_ptr<Agent> agent_;
};

TEST_F(HoldsAndQuarantineTest, AFailedUpdateIsListedWithItsEvidenceAfterARestartToo) {
  good("1.0.0");
  host_.failing_creates.insert("web");
  ASSERT_TRUE(agent_->apply(shop("2.0.0")));
  agent_->run(20s);
  begin();
  agent_->run(5s);
  const auto list = agent_->snapshot()->records->quarantine;
  ASSERT_THAT(list, SizeIs(1));
  EXPECT_EQ(list[0].generation, 2U);
  EXPECT_THAT(list[0].reason, HasSubstr("no such file"));
  EXPECT_EQ(list[0].evidence.at("service"), "web");
  EXPECT_EQ(list[0].evidence.at("error"), "E_RUNTIME");
}

TEST_F(HoldsAndQuarantineTest, AQuarantinedDocumentIsRefusedWithTheWayOut) {
  good("1.0.0");
  good("2.0.0");
  const auto added = core().commands().holds.quarantine({"1", "loses orders", ""}, kRoot);
  ASSERT_TRUE(added) << added.error().to_string();
  agent_->run(1s);
  const auto refused = agent_->apply(shop("1.0.0"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::quarantined);
  EXPECT_THAT(refused.error().to_string(), HasSubstr("loses orders"));
  EXPECT_THAT(refused.error().next_step(), HasSubstr("holdfast quarantine release"));
  EXPECT_FALSE(agent_->rollback()) << "rollback does not choose it by itself";
  ASSERT_TRUE(core().commands().holds.release({added->spec_digest.substr(7, 12), "mended"}, kRoot));
  agent_->run(1s);
  EXPECT_THAT(agent_->snapshot()->records->quarantine, IsEmpty());
  EXPECT_TRUE(agent_->apply(shop("1.0.0")));
}

TEST_F(HoldsAndQuarantineTest, RolesAddNoneBeyond500DocumentsAndRootNoneBeyond1000) {
  const deploy::requests::Actor kAnn{"ann (uid 1000)", proto::api::Role::rollback};
  int number = 0;
  const auto add = [&](const deploy::requests::Actor& actor) {
    const auto digest = proto::Digest::of(std::to_string(++number)).str();
    return core().commands().holds.quarantine({digest, "unknown here", ""}, actor).has_value();
  };
  for (int i = 0; i < 500; ++i) ASSERT_TRUE(add(kAnn)) << i;
  EXPECT_FALSE(add(kAnn));
  const auto known = proto::Digest::of("1").str();
  EXPECT_TRUE(core().commands().holds.quarantine({known, "still", ""}, kAnn)) << "it is there";
  for (int i = 500; i < 1000; ++i) ASSERT_TRUE(add(kRoot)) << i;
  EXPECT_FALSE(add(kRoot));
  good("1.0.0");
  host_.failing_creates.insert("web");
  ASSERT_TRUE(agent_->apply(shop("2.0.0")));
  agent_->run(20s);
  EXPECT_THAT(agent_->snapshot()->records->quarantine, SizeIs(1001)) << "a failure is always added";
}

TEST_F(HoldsAndQuarantineTest, AQuarantineEndsAtItsTimeEvenIfTheAgentWasDown) {
  good("1.0.0");
  const auto digest = std::string(64, 'a');
  ASSERT_TRUE(
      core().commands().holds.quarantine({digest, "bad elsewhere", "2026-11-23T14:00:00Z"}, kRoot));
  agent_->run(1s);
  EXPECT_EQ(agent_->snapshot()->records->quarantine.at(0).until, "2026-11-23T14:00:00.000Z");
  agent_.reset();
  host_.clock.set_wall(parse_rfc3339("2026-11-23T14:00:01Z").value());
  begin();
  agent_->run(1s);
  EXPECT_THAT(agent_->snapshot()->records->quarantine, IsEmpty());
  EXPECT_EQ(entries(proto::EntryKind::released), 1U);
}

TEST_F(HoldsAndQuarantineTest, WhatRunsCannotBeQuarantined) {
  good("1.0.0");
  const auto refused = core().commands().holds.quarantine({"1", "no", ""}, kRoot);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().next_step(), HasSubstr("holdfast rollback"));
}

TEST_F(HoldsAndQuarantineTest, BadWordsForAQuarantineAreNamed) {
  good("1.0.0");
  EXPECT_EQ(core().commands().holds.quarantine({"7", "x", ""}, kRoot).error().code(),
            Errc::not_found);
  EXPECT_EQ(core().commands().holds.quarantine({"zzzzzzzz", "x", ""}, kRoot).error().code(),
            Errc::usage);
  EXPECT_EQ(core().commands().holds.quarantine({"abc", "x", ""}, kRoot).error().code(),
            Errc::usage);
  EXPECT_EQ(core().commands().holds.quarantine({"deadbeef", "x", ""}, kRoot).error().code(),
            Errc::not_found);
  EXPECT_EQ(core().commands().holds.quarantine({"1", "", ""}, kRoot).error().code(), Errc::usage);
  EXPECT_EQ(core().commands().holds.quarantine({"1", "x", "soon"}, kRoot).error().code(),
            Errc::usage);
  EXPECT_EQ(
      core().commands().holds.quarantine({"1", "x", "2020-01-01T00:00:00Z"}, kRoot).error().code(),
      Errc::usage);
  EXPECT_EQ(core().commands().holds.release({"1", ""}, kRoot).error().code(), Errc::not_found);
}

/// Whatever became of the state that the source itself keeps.
TEST_F(HoldsAndQuarantineTest, AnOlderDocumentOfASignedSourceIsRefusedByWhatWasHeard) {
  const auto says = [&](const std::string& document, const char* serial) {
    auto read = candidate(document, kFile);
    read.evidence = {{"serial", serial}};
    core().commands().sources.changed(std::move(read), kFile);
    agent_->run(20s);
    return status().generation;
  };
  EXPECT_EQ(says(shop("1.0.0"), "6"), 1U);
  EXPECT_EQ(says(shop("2.0.0"), "7"), 2U);
  begin();
  agent_->run(5s);
  EXPECT_EQ(says(shop("1.0.0"), "6"), 2U);
  EXPECT_EQ(says(shop("3.0.0"), "1"), 2U);
  EXPECT_EQ(says(shop("3.0.0"), "8"), 3U);
}

TEST_F(HoldsAndQuarantineTest, AWatchedFileThatDeclaresAQuarantinedDocumentIsShownAsHeld) {
  core().commands().sources.changed(candidate(shop("1.0.0"), kFile), kFile);
  agent_->run(15s);
  host_.failing_creates.insert("web");
  core().commands().sources.changed(candidate(shop("2.0.0"), kFile), kFile);
  agent_->run(20s);
  host_.failing_creates.clear();
  for (int life = 0; life < 2; ++life) {
    EXPECT_EQ(status().state.text(), "held") << status().message;
    EXPECT_THAT(status().message, HasSubstr(kFile));
    ASSERT_TRUE(status().quarantined);
    EXPECT_EQ(status().quarantined->source, kFile);
    EXPECT_THAT(status().drift, IsEmpty());
    EXPECT_EQ(status().generation, 1U);
    begin();
    agent_->run(5s);
  }
  core().commands().sources.changed(candidate(shop("2.0.0"), kFile), kFile);
  agent_->run(10s);
  EXPECT_EQ(status().generation, 1U) << "the same file again is not applied again";
  core().commands().sources.changed(candidate(shop("2.0.1"), kFile), kFile);
  agent_->run(15s);
  EXPECT_EQ(status().state.text(), "converged") << "a newer one is applied as usual";
  EXPECT_FALSE(status().quarantined);
}

TEST_F(HoldsAndQuarantineTest, UnderAHoldAChangeIsPulledAndWaits) {
  good("1.0.0");
  ASSERT_TRUE(core().commands().holds.hold({"the shop is busy", ""}, kRoot));
  const auto accepted = agent_->apply(shop("2.0.0"));
  ASSERT_TRUE(accepted) << accepted.error().to_string();
  agent_->run(60s);
  EXPECT_EQ(status().state.text(), "held");
  EXPECT_EQ(status().generation, 1U);
  EXPECT_EQ(status().rollout->phase.text(), "waiting");
  EXPECT_THAT(status().rollout->waiting_for, HasSubstr("the shop is busy"));
  EXPECT_EQ(result_of(2), "pending");
  EXPECT_TRUE(host_.local_images.contains(proto::Digest::of("2.0.0"))) << "pulls do not wait";
  EXPECT_EQ(host_.creates, 1);
  EXPECT_EQ(agent_->snapshot()->gauges.waiting.at("hold"), 1U);
  ASSERT_THAT(outcomes(), SizeIs(2));
  EXPECT_EQ(outcomes().back().result.text(), "waiting");
  EXPECT_EQ(outcomes().back().error->code, "E_HELD");
  EXPECT_THAT(outcomes().back().error->next, HasSubstr("holdfast resume"));
  begin();
  agent_->run(60s);
  EXPECT_EQ(status().state.text(), "held") << "it survives the agent";
  ASSERT_TRUE(core().commands().holds.resume({"over"}, kRoot)->hold);
  agent_->run(20s);
  EXPECT_EQ(status().state.text(), "converged");
  EXPECT_EQ(status().generation, 2U);
  EXPECT_EQ(result_of(2), "good");
  EXPECT_EQ(entries(proto::EntryKind::held), 1U);
  EXPECT_EQ(entries(proto::EntryKind::resumed), 1U);
  EXPECT_FALSE(core().commands().holds.resume({""}, kRoot)->hold) << "a second resume is nothing";
}

TEST_F(HoldsAndQuarantineTest, AHoldEndsByItself) {
  good("1.0.0");
  ASSERT_TRUE(core().commands().holds.hold({"lunch", "2026-11-23T13:00:00Z"}, kRoot));
  ASSERT_TRUE(agent_->apply(shop("2.0.0")));
  agent_->run(10min);
  EXPECT_EQ(status().generation, 1U);
  agent_->run(60min);
  EXPECT_EQ(status().generation, 2U);
  EXPECT_EQ(status().state.text(), "converged");
  EXPECT_EQ(entries(proto::EntryKind::resumed), 1U);
}

TEST_F(HoldsAndQuarantineTest, RollbackAndRestartsGoOnUnderAHold) {
  good("1.0.0");
  good("2.0.0");
  ASSERT_TRUE(core().commands().holds.hold({"incident", ""}, kRoot));
  ASSERT_TRUE(agent_->apply(shop("3.0.0")));
  agent_->run(10s);
  ASSERT_EQ(status().rollout->phase.text(), "waiting");
  for (auto& [id, instance] : host_.instances) {
    if (instance.state != deploy::plan::InstanceState::running) continue;
    instance.state = deploy::plan::InstanceState::exited;
    instance.exit = deploy::plan::ExitInfo{137, false, host_.clock.wall()};
  }
  agent_->run(10s);
  EXPECT_EQ(status().services.at(0).state.text(), "running");
  const auto back = agent_->rollback();
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(back->generation, 1U) << "the one before what runs, not before what waits";
  agent_->run(10s);
  EXPECT_EQ(status().generation, 1U);
  EXPECT_EQ(status().state.text(), "held");
  EXPECT_EQ(result_of(3), "superseded");
  EXPECT_EQ(result_of(2), "rolled_back");
}

TEST_F(HoldsAndQuarantineTest, AHoldNeedsAReasonAndAnEndThatLiesAhead) {
  EXPECT_EQ(core().commands().holds.hold({" ", ""}, kRoot).error().code(), Errc::usage);
  EXPECT_EQ(core().commands().holds.hold({"x", "2020-01-01T00:00:00Z"}, kRoot).error().code(),
            Errc::usage);
  EXPECT_EQ(core().commands().holds.hold({"x", "tomorrow"}, kRoot).error().code(), Errc::usage);
  agent_->run(1s);
  EXPECT_FALSE(status().hold);
}

TEST_F(HoldsAndQuarantineTest, ANewerDocumentTakesThePlaceOfOneThatWaits) {
  good("1.0.0");
  ASSERT_TRUE(core().commands().holds.hold({"busy", ""}, kRoot));
  ASSERT_TRUE(agent_->apply(shop("2.0.0")));
  agent_->run(10s);
  const auto third = agent_->apply(shop("3.0.0"));
  ASSERT_TRUE(third) << third.error().to_string();
  EXPECT_EQ(third->generation, 3U);
  agent_->run(10s);
  EXPECT_EQ(result_of(2), "superseded");
  ASSERT_TRUE(core().commands().holds.resume({""}, kRoot));
  agent_->run(20s);
  EXPECT_EQ(status().generation, 3U);
  EXPECT_EQ(host_.creates, 2) << "the second was never started";
}

TEST_F(HoldsAndQuarantineTest, ApplyingWhatRunsTakesBackWhatWaits) {
  good("1.0.0");
  ASSERT_TRUE(core().commands().holds.hold({"busy", ""}, kRoot));
  ASSERT_TRUE(agent_->apply(shop("2.0.0")));
  agent_->run(10s);
  const auto same = agent_->apply(shop("1.0.0"));
  ASSERT_TRUE(same);
  EXPECT_FALSE(same->changed);
  EXPECT_EQ(same->generation, 1U);
  ASSERT_TRUE(core().commands().holds.resume({""}, kRoot));
  agent_->run(20s);
  EXPECT_EQ(status().generation, 1U);
  EXPECT_EQ(status().state.text(), "converged");
  EXPECT_EQ(result_of(2), "superseded");
}

TEST_F(HoldsAndQuarantineTest, QuarantiningWhatWaitsTakesItBack) {
  good("1.0.0");
  ASSERT_TRUE(core().commands().holds.hold({"busy", ""}, kRoot));
  ASSERT_TRUE(agent_->apply(shop("2.0.0")));
  agent_->run(10s);
  ASSERT_TRUE(core().commands().holds.quarantine({"2", "never", ""}, kRoot));
  agent_->run(1s);
  EXPECT_FALSE(status().rollout);
  EXPECT_EQ(result_of(2), "superseded");
}

TEST_F(HoldsAndQuarantineTest, AWindowDelaysTheRollOutButNotThePull) {
  good("1.0.0");
  const auto windowed =
      shop("2.0.0", R"({days: [mon], hours: "22:00-04:00", zone: Europe/Berlin})");
  const auto plan = finished(
      core().commands().applies.plan(agent_->reader().read({windowed, "x", "", true, false})));
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_THAT(plan->warnings, ::testing::Contains(HasSubstr("2026-11-23 22:00 Europe/Berlin")));
  ASSERT_TRUE(agent_->apply(windowed));
  agent_->run(1h);
  EXPECT_EQ(status().state.text(), "waiting") << status().message;
  EXPECT_THAT(status().message, HasSubstr("2026-11-23 22:00 Europe/Berlin"));
  EXPECT_EQ(status().rollout->begins, "2026-11-23T21:00:00.000Z");
  EXPECT_EQ(status().generation, 1U);
  EXPECT_TRUE(host_.local_images.contains(proto::Digest::of("2.0.0")));
  EXPECT_EQ(agent_->snapshot()->gauges.waiting.at("window"), 1U);
  begin();
  agent_->run(7h);
  EXPECT_EQ(status().generation, 1U);
  agent_->run(2h);
  EXPECT_EQ(status().generation, 2U);
  EXPECT_EQ(status().state.text(), "converged");
}

TEST_F(HoldsAndQuarantineTest, NowOverridesAWindowAlsoForOneThatWaitsButNotAHold) {
  good("1.0.0");
  const auto windowed = shop("2.0.0", R"({hours: "22:00-04:00"})");
  ASSERT_TRUE(agent_->apply(windowed));
  agent_->run(10s);
  ASSERT_EQ(status().state.text(), "waiting");
  ASSERT_TRUE(core().commands().holds.hold({"busy", ""}, kRoot));
  ASSERT_TRUE(agent_->apply(windowed, true));
  agent_->run(10s);
  EXPECT_EQ(status().generation, 1U) << "a hold is waited for";
  ASSERT_TRUE(core().commands().holds.resume({""}, kRoot));
  agent_->run(20s);
  EXPECT_EQ(status().generation, 2U);
}

TEST_F(HoldsAndQuarantineTest, AnUnknownZoneIsRefusedWithItsPlace) {
  const auto refused = agent_->apply(shop("1.0.0", R"({hours: "22:00-04:00", zone: Atlantis})"));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().to_string(), HasSubstr("services.web.update.window"));
  EXPECT_THAT(refused.error().next_step(), HasSubstr("tzdata"));
}

TEST_F(HoldsAndQuarantineTest, OfTwoAppliesAtOnceTheSecondIsToldToWait) {
  good("1.0.0");
  const auto first = agent_->apply(shop("2.0.0"));
  agent_->run(1ms);  // it has begun: half a rollout is the worst place to stop in
  const auto second = agent_->apply(shop("3.0.0"));
  const auto same = agent_->apply(shop("2.0.0"));
  ASSERT_TRUE(first);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Errc::busy);
  ASSERT_TRUE(same) << "the same document joins the rollout";
  EXPECT_EQ(same->generation, first->generation);
  agent_->run(20s);
  EXPECT_EQ(status().generation, 2U);
  EXPECT_THAT(agent_->snapshot()->records->history, SizeIs(2));
}

TEST_F(HoldsAndQuarantineTest, ARollbackDuringARollOutWinsInEveryPhase) {
  for (int cut_ms = 0; cut_ms < 4'000; cut_ms += 200) {
    FakeHost host;
    const auto dir = os::TempDir::create("/tmp", "holdfast-roll").value();
    Agent agent{host, dir.path()};
    ASSERT_TRUE(agent.apply(shop("1.0.0")));
    agent.run(15s);
    ASSERT_TRUE(agent.apply(shop("2.0.0")));
    agent.run(Milliseconds{cut_ms});
    const auto back = agent.rollback();
    ASSERT_TRUE(back) << cut_ms << ": " << back.error().to_string();
    agent.run(20s);
    const auto now = agent.snapshot();
    EXPECT_EQ(now->status.generation, 1U) << cut_ms;
    EXPECT_EQ(now->status.state.text(), "converged") << cut_ms;
    EXPECT_TRUE(now->records->history.at(0).quarantined) << cut_ms;
    EXPECT_EQ(now->records->history.at(0).result.text(), "rolled_back") << cut_ms;
    EXPECT_FALSE(agent.apply(shop("2.0.0"))) << cut_ms;
  }
}

TEST_F(HoldsAndQuarantineTest, AnApplyOfWhatRunsIsRecordedAndChangesNothing) {
  good("1.0.0");
  const auto creates = host_.creates;
  const auto again = agent_->apply(shop("1.0.0"));
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->changed);
  EXPECT_EQ(again->generation, 1U);
  agent_->run(5s);
  EXPECT_EQ(host_.creates, creates);
  EXPECT_EQ(entries(proto::EntryKind::apply_unchanged), 1U);
  EXPECT_THAT(agent_->snapshot()->records->history, SizeIs(1));
}

}  // namespace
}  // namespace holdfast::test
