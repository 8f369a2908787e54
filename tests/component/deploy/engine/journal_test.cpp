// When the ledger takes nothing: what runs goes on, changes are refused, and a rollback works all
// the same.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/os/file.hpp"
#include "tests/support/fake_ports.hpp"
#include "tests/support/memory_ledger.hpp"
#include "tests/support/shop.hpp"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;
using proto::EntryKind;
using ::testing::HasSubstr;

constexpr Milliseconds kResync{30'000};

std::string storable(const std::string& version) {
  return shop_of(web(version, {kPublished, "update: {soak: 2s, deadline: 10s}"}));
}

class UnrecordedTest : public ::testing::Test {
 protected:
  void SetUp() override {
    begin();
    for (const auto* version : {"1.0.0", "2.0.0"}) {
      ASSERT_TRUE(agent_->apply(storable(version)));
      agent_->run(15s);
    }
    ASSERT_EQ(status().generation, 2U);
  }
  void begin() {
    agent_.reset();
    agent_ = std::make_unique<Agent>(host_, ledger_, 5, kResync, dir_.path());
    agent_->run(1ms);
  }
  [[nodiscard]] proto::api::Status status() { return agent_->snapshot()->status; }
  void break_ledger() {
    ledger_.fault = Error{Errc::io, "fdatasync ledger.db: Input/output error"};
  }
  [[nodiscard]] int recorded(EntryKind kind) {
    int count = 0;
    const auto entries = ledger_.entries(0, 1'000).value();
    for (const auto& each : entries) count += each.entry.kind == kind ? 1 : 0;
    return count;
  }

  os::TempDir dir_ = os::TempDir::create("/tmp", "holdfast-unrecorded").value();
  FakeHost host_;
  MemoryLedger ledger_;
  std::unique_ptr<Agent> agent_;
};

TEST_F(UnrecordedTest, AHostThatGoesDownWaitsForNoLedger) {
  break_ledger();
  ledger_.behind = true;
  ASSERT_TRUE(agent_->core().commands().shutdown.ask({}, kRoot));
  agent_->run(5s);
  for (const auto& [id, seen] : host_.instances)
    EXPECT_EQ(seen.state, deploy::plan::InstanceState::exited) << id.str();
}

TEST_F(UnrecordedTest, AChangeIsRefusedAndWhatRunsGoesOn) {
  break_ledger();
  const auto refused = agent_->apply(storable("3.0.0"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::io);
  agent_->run(60s);
  EXPECT_EQ(status().state.text(), "degraded");
  EXPECT_THAT(status().message, HasSubstr("Input/output error"));
  EXPECT_EQ(status().generation, 2U);
  EXPECT_FALSE(agent_->snapshot()->ledger_writable);
}

TEST_F(UnrecordedTest, OfAnOldHostOnlyTheNewestGenerationsAndTheWaysBackStayInMemory) {
  for (int i = 3; i <= 100; ++i) {
    ASSERT_TRUE(agent_->apply(storable(fmt::format("{}.0.0", i))));
    agent_->run(15s);
  }
  const auto held = agent_->snapshot();
  EXPECT_EQ(held->records->history.front().generation, 100U);
  EXPECT_EQ(held->records->history.size(), 64U);
  EXPECT_FALSE(held->records->history_complete);
  EXPECT_EQ(held->records->history.front().result.text(), "good");
  EXPECT_EQ(held->records->history.at(1).result.text(), "good") << "it was, and stays so";
  begin();
  EXPECT_EQ(agent_->snapshot()->records->history.size(), 64U);
  EXPECT_EQ(ledger_.generations()->size(), 100U);
  ASSERT_TRUE(agent_->rollback());
  agent_->run(20s);
  EXPECT_EQ(status().generation, 99U);
  EXPECT_EQ(agent_->snapshot()->records->history.front().result.text(), "rolled_back");
}

TEST_F(UnrecordedTest, ALedgerOlderThanWhatRunsStopsNothingAndMovesNoTraffic) {
  const auto older = ledger_;
  ASSERT_TRUE(agent_->apply(storable("3.0.0")));
  agent_->run(60s);
  ASSERT_EQ(status().generation, 3U);
  agent_.reset();
  ledger_ = older;
  ledger_.behind = true;
  ledger_.fault = Error{Errc::ledger_truncated, "ledger.db is older than HEAD"};
  std::set<deploy::plan::InstanceId> before;
  for (const auto& [id, seen] : host_.instances) before.insert(id);
  const auto routing = host_.routing;
  const auto creates = host_.creates;
  begin();
  agent_->run(3 * kResync);
  for (const auto& id : before) {
    ASSERT_TRUE(host_.instances.contains(id)) << id.str();
    EXPECT_NE(host_.instances.at(id).state, deploy::plan::InstanceState::exited) << id.str();
  }
  EXPECT_EQ(host_.routing, routing);
  EXPECT_EQ(host_.creates, creates);
  EXPECT_EQ(status().state.text(), "degraded");
  EXPECT_THAT(status().message, HasSubstr("holdfast ledger recover"));
  EXPECT_TRUE(status().drift.empty()) << "what is declared is not known";
  const auto back = agent_->rollback(1);
  ASSERT_TRUE(back) << back.error().to_string();
  agent_->run(20s);
  EXPECT_EQ(status().generation, 1U) << "an operator's word says what should run";
  for (const auto& id : before) EXPECT_TRUE(host_.instances.contains(id)) << id.str();
}

TEST_F(UnrecordedTest, ARollbackWorksAndIsRecordedWhenTheLedgerTakesEntriesAgain) {
  break_ledger();
  const auto back = agent_->rollback();
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(back->generation, 1U);
  agent_->run(20s);
  EXPECT_EQ(status().generation, 1U);
  EXPECT_EQ(agent_->snapshot()->counters.rollbacks.at("operator"), 1U);
  EXPECT_EQ(recorded(EntryKind::rollback_started), 0);

  ledger_.fault.reset();
  agent_->run(2 * kResync);
  EXPECT_EQ(status().state.text(), "converged") << status().message;
  EXPECT_EQ(recorded(EntryKind::rollback_started), 1);
  EXPECT_EQ(recorded(EntryKind::switched), 3);
  EXPECT_TRUE(ledger_.verify()->intact);
  EXPECT_FALSE(std::filesystem::exists(dir_.path() / "rollback-intent.json"));
  const auto again = agent_->apply(storable("2.0.0"));
  ASSERT_FALSE(again) << "a rollback is not undone";
  EXPECT_EQ(again.error().code(), Errc::quarantined);
}

TEST_F(UnrecordedTest, ARollbackIsNotLostWhenTheAgentDiesBeforeItCouldRecordIt) {
  break_ledger();
  ASSERT_TRUE(agent_->rollback());
  agent_->run(20s);
  begin();
  agent_->run(20s);
  EXPECT_EQ(status().generation, 1U) << "the intent is in the run directory";
  EXPECT_EQ(status().state.text(), "degraded");
  ledger_.fault.reset();
  begin();
  agent_->run(20s);
  EXPECT_EQ(status().generation, 1U);
  EXPECT_EQ(status().state.text(), "converged") << status().message;
  EXPECT_EQ(recorded(EntryKind::rollback_started), 1);
  EXPECT_FALSE(std::filesystem::exists(dir_.path() / "rollback-intent.json"));
}

TEST_F(UnrecordedTest, ALifeThatTakesUpARollbackLeadsNoTrafficBackFirst) {
  break_ledger();
  ASSERT_TRUE(agent_->rollback());
  agent_->run(20s);
  const auto led = host_.routing;
  agent_.reset();
  ledger_.fault.reset();
  int moves = 0;
  host_.on_route = [&] { ++moves; };
  begin();
  agent_->run(20s);
  EXPECT_EQ(status().generation, 1U);
  EXPECT_EQ(status().state.text(), "converged") << status().message;
  EXPECT_EQ(host_.routing, led);
  EXPECT_EQ(moves, 0) << "recorded is the generation before the rollback";
}

TEST_F(UnrecordedTest, ARollbackThatIsTakenUpGoesOnThoughWhatItLedToHasEnded) {
  break_ledger();
  ASSERT_TRUE(agent_->rollback());
  agent_->run(20s);
  agent_.reset();
  ledger_.fault.reset();
  for (auto& [id, instance] : host_.instances) {
    if (instance.state != deploy::plan::InstanceState::running) continue;
    instance.state = deploy::plan::InstanceState::exited;
    instance.exit = deploy::plan::ExitInfo{137, false, host_.clock.wall()};
  }
  begin();
  agent_->run(30s);
  EXPECT_EQ(status().generation, 1U) << "a rollback is not undone";
  EXPECT_EQ(status().state.text(), "converged") << status().message;
  EXPECT_EQ(recorded(EntryKind::quarantined), 1);
}

TEST_F(UnrecordedTest, ADiskThatTakesTooLongHoldsUpNoRollbackAndNothingIsRecordedTwice) {
  ledger_.slow = true;
  const auto back = agent_->rollback();
  ASSERT_TRUE(back) << back.error().to_string();
  agent_->run(20s);
  EXPECT_EQ(status().generation, 1U);
  EXPECT_EQ(status().state.text(), "degraded");
  EXPECT_EQ(recorded(EntryKind::rollback_started), 0);
  ledger_.slow = false;
  agent_->run(1s);
  EXPECT_EQ(status().state.text(), "converged") << status().message << ": before the next resync";
  EXPECT_EQ(recorded(EntryKind::rollback_started), 1);
  EXPECT_EQ(recorded(EntryKind::quarantined), 1);
  EXPECT_EQ(recorded(EntryKind::switched), 3);
  EXPECT_TRUE(ledger_.verify()->intact);
  EXPECT_FALSE(std::filesystem::exists(dir_.path() / "rollback-intent.json"));
}

TEST_F(UnrecordedTest, ADiskThatBeginsToTakeTooLongOnTheWayToTheSwitchHoldsUpNothing) {
  ASSERT_TRUE(agent_->rollback());
  ledger_.slow = true;
  agent_->run(200ms);
  EXPECT_GE(agent_->core().reconcile(deploy::engine::Freshness::remembered),
            host_.clock.boot() + 100ms)
      << "it does not spin";
  agent_->run(20s);
  EXPECT_EQ(status().generation, 1U);
  EXPECT_EQ(status().state.text(), "degraded");
  ledger_.slow = false;
  agent_->run(1s);
  EXPECT_EQ(status().state.text(), "converged") << status().message;
  EXPECT_EQ(recorded(EntryKind::rollback_started), 1);
  EXPECT_EQ(recorded(EntryKind::switched), 3);
}

TEST_F(UnrecordedTest, AProcessThatEndsIsStartedAgainWhileTheDiskTakesTooLong) {
  ledger_.slow = true;
  auto& instance = std::find_if(host_.instances.begin(), host_.instances.end(), [](auto& row) {
                     return row.second.state == deploy::plan::InstanceState::running;
                   })->second;
  const auto starts = instance.starts;
  instance.state = deploy::plan::InstanceState::exited;
  instance.exit = deploy::plan::ExitInfo{.code = 137};
  agent_->core().attention().mark_changed();
  agent_->run(3s);
  EXPECT_EQ(instance.state, deploy::plan::InstanceState::running);
  EXPECT_GT(instance.starts, starts);
}

TEST_F(UnrecordedTest, AnApplyThatTheDiskTookTooLongForBeginsOnceItIsRecorded) {
  ledger_.slow = true;
  const auto late = agent_->apply(storable("3.0.0"));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), Errc::busy);
  EXPECT_THAT(late.error().next_step(), HasSubstr("holdfast history"));
  const auto next = agent_->apply(storable("4.0.0"));
  ASSERT_FALSE(next);
  EXPECT_THAT(next.error().next_step(), ::testing::Not(HasSubstr("holdfast history")))
      << "this one was not even tried";
  agent_->run(20s);
  EXPECT_EQ(status().generation, 2U);
  ledger_.slow = false;
  agent_->run(20s);
  EXPECT_EQ(status().generation, 3U);
  EXPECT_EQ(status().state.text(), "converged") << status().message;
  EXPECT_EQ(agent_->snapshot()->records->history.front().result.text(), "good");
}

TEST_F(UnrecordedTest, AnApplyThatTheDiskRefusedInTheEndDoesNotBegin) {
  ledger_.slow = true;
  ASSERT_FALSE(agent_->apply(storable("3.0.0")));
  break_ledger();
  ledger_.slow = false;
  agent_->run(20s);
  EXPECT_EQ(status().generation, 2U);
  EXPECT_THAT(status().message, HasSubstr("Input/output error"));
  ASSERT_TRUE(agent_->rollback());
  agent_->run(20s);
  EXPECT_EQ(status().generation, 1U);
}

TEST_F(UnrecordedTest, ARollbackGoesBeforeAnApplyThatIsRecordedTooLate) {
  ledger_.slow = true;
  ASSERT_FALSE(agent_->apply(storable("3.0.0")));
  ASSERT_TRUE(agent_->rollback());
  agent_->run(20s);
  EXPECT_EQ(status().generation, 1U);
  ledger_.slow = false;
  agent_->run(20s);
  EXPECT_EQ(status().generation, 1U);
  EXPECT_EQ(status().state.text(), "converged") << status().message;
  EXPECT_EQ(ledger_.generations()->front().result, deploy::ledger::GenerationResult::superseded);
  begin();
  agent_->run(20s);
  EXPECT_EQ(status().generation, 1U);
}

// A flush that fails may have written nevertheless: the next life finds what was refused.
TEST_F(UnrecordedTest, ARollbackIsNotUndoneByAnEarlierApplyThatIsFoundRecordedAfterADeath) {
  ledger_.slow = true;
  ASSERT_FALSE(agent_->apply(storable("3.0.0")));
  ASSERT_TRUE(agent_->rollback());
  agent_->run(20s);
  agent_.reset();
  ledger_.slow = false;
  ASSERT_TRUE(ledger_.outcome());
  ASSERT_EQ(ledger_.generations()->size(), 3U);
  begin();
  agent_->run(60s);
  EXPECT_EQ(status().generation, 1U);
  EXPECT_EQ(status().state.text(), "converged") << status().message;
  EXPECT_EQ(ledger_.generations()->front().result, deploy::ledger::GenerationResult::superseded);
  EXPECT_EQ(recorded(EntryKind::rollback_started), 1);
}

TEST_F(UnrecordedTest, ARollbackFoundRecordedAfterADeathIsNotRecordedTwice) {
  ledger_.slow = true;
  ASSERT_TRUE(agent_->rollback());
  agent_->run(20s);
  agent_.reset();
  ledger_.slow = false;
  ASSERT_TRUE(ledger_.outcome());
  begin();
  agent_->run(60s);
  EXPECT_EQ(status().generation, 1U);
  EXPECT_EQ(recorded(EntryKind::rollback_started), 1);
  EXPECT_FALSE(std::filesystem::exists(dir_.path() / "rollback-intent.json"));
}

TEST_F(UnrecordedTest, ARollbackOfARollOutUnderWayWorksToo) {
  ASSERT_TRUE(agent_->apply(storable("3.0.0")));
  agent_->run(500ms);
  ASSERT_TRUE(status().rollout);
  break_ledger();
  const auto back = agent_->rollback(2);
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(back->generation, 2U);
  agent_->run(20s);
  EXPECT_EQ(status().generation, 2U);
  EXPECT_FALSE(status().rollout);
  begin();
  agent_->run(20s);
  EXPECT_EQ(status().generation, 2U);
}

TEST_F(UnrecordedTest, AnUpdateThatFailsInItsSoakIsRevertedWithoutTheLedger) {
  ASSERT_TRUE(agent_->apply(storable("3.0.0")));
  agent_->run(1s);
  ASSERT_EQ(status().rollout->phase.text(), "soaking");
  break_ledger();
  for (auto& [id, instance] : host_.instances) {
    if (instance.generation != 3) continue;
    instance.state = deploy::plan::InstanceState::exited;
    instance.exit = deploy::plan::ExitInfo{1, false, host_.clock.wall()};
  }
  agent_->core().attention().mark_changed();
  agent_->run(20s);
  EXPECT_EQ(status().generation, 2U);
}

}  // namespace
}  // namespace holdfast::test
