// A disk that takes its time is played by another connection that holds SQLite's write lock.
#include "deploy/ledger/bounded_commit.hpp"

#include <gmock/gmock.h>

#include "common/db/db.hpp"
#include "tests/support/ledger_fixture.hpp"

namespace holdfast::deploy::ledger {
namespace {

using namespace std::chrono_literals;
using test::accept;
using test::digest;
using test::note;

/// Longer than a busy disk needs for a flush; each test waits for it once.
constexpr auto kPatience = 1s;

class PatientLedgerTest : public test::LedgerTest {
 protected:
  void SetUp() override {
    LedgerTest::SetUp();
    ledger_ = std::make_unique<BoundedCommitLedger>(open(), dir(), kPatience);
    ASSERT_TRUE(ledger_->commit(accept(1, 'a')));
  }
  void hold_up() {
    other_.emplace(db::Db::open(dir() / "ledger.db", db::OpenMode::read_write).value());
    ASSERT_TRUE(other_->exec("BEGIN IMMEDIATE"));
  }
  void let_go() { ASSERT_TRUE(other_->exec("ROLLBACK")); }
  Result<Head> outcome() {
    for (int i = 0; i < 1'000; ++i) {
      if (auto known = ledger_->outcome()) return std::move(known->head);
      std::this_thread::sleep_for(10ms);
    }
    return Error{Errc::timed_out, "no outcome"};
  }

  std::unique_ptr<BoundedCommitLedger> ledger_;
  std::optional<db::Db> other_;
};

TEST_F(PatientLedgerTest, ACommitThatTakesTooLongIsInDoubtUntilItsOutcome) {
  hold_up();
  const auto late = ledger_->commit(note("late"));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), Errc::busy);
  EXPECT_TRUE(ledger_->in_doubt());
  EXPECT_FALSE(ledger_->outcome());
  EXPECT_EQ(ledger_->commit(note("next")).error().code(), Errc::busy) << "at once";
  EXPECT_EQ(*ledger_->document(digest('a')), "name: a\n") << "read beside it";
  EXPECT_EQ(ledger_->head()->number, 2U);
  let_go();
  const auto done = outcome();
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(done->number, 3U);
  EXPECT_FALSE(ledger_->in_doubt());
  EXPECT_FALSE(ledger_->outcome()) << "told once";
  EXPECT_EQ(ledger_->commit(note("next"))->number, 4U);
  EXPECT_TRUE(ledger_->verify()->intact);
}

TEST_F(PatientLedgerTest, WhatIsUrgentIsNotWaitedForSoLong) {
  ledger_.reset();
  ledger_ = std::make_unique<BoundedCommitLedger>(open(), dir(), std::chrono::hours{1});
  hold_up();
  auto urgent = note("a rollback");
  urgent.urgent = true;
  const auto late = ledger_->commit(urgent);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), Errc::busy);
  let_go();
  EXPECT_TRUE(outcome());
}

TEST_F(PatientLedgerTest, TheOutcomeMayBeAFailure) {
  hold_up();
  ASSERT_FALSE(ledger_->commit(accept(7, 'b')));
  let_go();
  const auto done = outcome();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::conflict) << done.error().to_string();
  EXPECT_TRUE(ledger_->commit(accept(2, 'b')));
}

TEST_F(PatientLedgerTest, ItsEndWaitsForWhatIsUnderWay) {
  hold_up();
  ASSERT_FALSE(ledger_->commit(note("late")));
  const std::jthread later{[this] {
    std::this_thread::sleep_for(50ms);
    let_go();
  }};
  ledger_.reset();
  EXPECT_EQ(open()->head()->number, 3U);
}

}  // namespace
}  // namespace holdfast::deploy::ledger
