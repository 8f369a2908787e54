// Progress changes only with its record, and a batch takes effect once it is taken.
#include "deploy/engine/state/journal.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_ports.hpp"
#include "tests/support/memory_ledger.hpp"

namespace holdfast::test {
namespace {

using deploy::engine::Journal;
using deploy::plan::GenerationId;
using deploy::plan::Phase;
using deploy::plan::Trigger;
using ::testing::SizeIs;

class JournalUnit : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(journal_.load()); }

  [[nodiscard]] deploy::plan::Progress rolling(std::uint64_t target) const {
    return deploy::plan::begin_rollout(journal_.progress(), GenerationId{target}, Trigger::rollback,
                                       "root", "because", clock_.boot());
  }
  static deploy::ledger::Batch quarantining(const std::string& content) {
    deploy::ledger::Batch batch;
    batch.quarantine.push_back({proto::Digest::of(content), "root", "bad", {}, {}, {}});
    return batch;
  }
  void break_ledger() { ledger_.fault = Error{Errc::nospace, "No space left on device"}; }

  FakeClock clock_;
  MemoryLedger ledger_;
  InlineJobs jobs_;
  deploy::engine::Attention attention_;
  deploy::engine::Generations generations_{ledger_, jobs_, attention_};
  deploy::engine::Quarantine quarantine_;
  deploy::engine::EventLog events_;
  deploy::engine::Counters counters_;
  Journal journal_{ledger_, clock_, "/nonexistent",
                   Journal::Beside{generations_, quarantine_, events_, counters_, attention_}};
};

TEST_F(JournalUnit, ProgressThatTheLedgerRefusesDoesNotHold) {
  break_ledger();
  EXPECT_FALSE(journal_.advance(rolling(1), {}));
  EXPECT_FALSE(journal_.progress().rollout);
  EXPECT_FALSE(journal_.writable());
  ledger_.fault.reset();
  journal_.retry();
  EXPECT_TRUE(journal_.writable());
  EXPECT_TRUE(journal_.advance(rolling(1), {}));
  EXPECT_TRUE(journal_.progress().rollout);
}

TEST_F(JournalUnit, WhatIsRefusedTakesNoEffect) {
  break_ledger();
  EXPECT_FALSE(journal_.commit(quarantining("a")));
  EXPECT_FALSE(quarantine_.contains(proto::Digest::of("a")));
}

TEST_F(JournalUnit, ARollbackGoesOnUnjournaledAndTakesEffectOnce) {
  break_ledger();
  auto batch = quarantining("a");
  batch.entries.push_back(
      journal_.entry(proto::EntryKind::rollback_started, "root", "because", {}));
  journal_.advance_regardless(rolling(1), {2, 1, "root", "because", clock_.wall()}, batch);
  EXPECT_TRUE(journal_.unjournaled());
  EXPECT_TRUE(journal_.progress().rollout);
  EXPECT_TRUE(quarantine_.contains(proto::Digest::of("a")));
  const auto published = events_.last();
  quarantine_.lift(proto::Digest::of("a"));  // somebody released it meanwhile

  ledger_.fault.reset();
  journal_.retry();
  EXPECT_FALSE(journal_.unjournaled());
  EXPECT_FALSE(quarantine_.contains(proto::Digest::of("a"))) << "it took effect long ago";
  EXPECT_EQ(events_.last(), published + 1) << "only that the ledger takes entries again is new";
}

TEST_F(JournalUnit, PhasesOnTheWayToARollbacksSwitchWaitForItsRecord) {
  ASSERT_TRUE(journal_.advance(rolling(1), {}));
  deploy::plan::Decision decision;
  decision.progress = journal_.progress();
  decision.progress.rollout->phase = Phase::checking;
  deploy::ledger::Batch batch;
  batch.entries.push_back(journal_.entry(proto::EntryKind::phase, "root", "checking", {}));
  const auto before = journal_.head();
  ASSERT_TRUE(journal_.record(decision, batch));
  EXPECT_EQ(journal_.head(), before);
  EXPECT_EQ(journal_.progress().rollout->phase, Phase::checking);
  clock_.advance(Milliseconds{60});
  journal_.flush_deferred();
  EXPECT_NE(journal_.head(), before);
  EXPECT_THAT(ledger_.entries(0, 10).value(), SizeIs(1));
}

TEST_F(JournalUnit, ADecisionThatIsNotRecordedDoesNotHold) {
  break_ledger();
  deploy::plan::Decision decision;
  decision.progress = journal_.progress();
  decision.progress.current = GenerationId{7};
  EXPECT_FALSE(journal_.record(decision, {}));
  EXPECT_EQ(journal_.progress().current, GenerationId{});
}

}  // namespace
}  // namespace holdfast::test
