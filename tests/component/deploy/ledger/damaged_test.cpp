// What an agent reads of a damaged ledger until `holdfast ledger recover` has mended it.
#include "tests/component/deploy/ledger/recover_fixture.hpp"

namespace holdfast::deploy::ledger {
namespace {

class Damaged : public Recover {};

TEST_F(Damaged, ADamagedLedgerIsStaleUnlessItsLastCommitIsThere) {
  edit("UPDATE entries SET body = x'7b7d' WHERE number = 3");
  const auto why = open_ledger(dir()).error();
  EXPECT_FALSE((*open_damaged_ledger(dir(), why, {}))->stale())
      << "its state is as new as HEAD says";
  ASSERT_TRUE(os::write_atomic(dir() / "ledger.db", std::string(8192, 'x')));
  auto instead = open_damaged_ledger(dir(), why, {});
  ASSERT_TRUE(instead);
  EXPECT_TRUE((*instead)->stale());
  EXPECT_EQ((*instead)->generations()->size(), 2U) << "the backup speaks for it";
  fs::remove_all(dir() / "ledger.backup");
  auto nothing = open_damaged_ledger(dir(), why, {});
  ASSERT_TRUE(nothing);
  EXPECT_TRUE((*nothing)->stale());
  EXPECT_THAT(*(*nothing)->generations(), IsEmpty());
  EXPECT_FALSE((*nothing)->commit(note("no")));
}

TEST_F(Damaged, WhatRunsDecidesWhereTheStateWasForged) {
  plan::Progress forged;
  forged.current = forged.good = GenerationId{1};
  forged.serving[proto::ServiceName{"web"}] = instance_of(1);
  for (const bool with_copies : {true, false}) {
    SCOPED_TRACE(with_copies);
    if (!with_copies) fs::remove_all(dir() / "ledger.backup");
    edit(
        fmt("UPDATE generations SET result = 'failed', ever_good = 0, spec_digest = (SELECT "
            "spec_digest FROM generations WHERE id = 1); DELETE FROM quarantine; "
            "UPDATE state SET progress = '{}', commits = commits + 1",
            plan::encode_progress(forged)));
    const auto why = open_ledger(dir()).error();
    auto damaged = open_damaged_ledger(dir(), why, {running(3)});
    ASSERT_TRUE(damaged);
    expect_table_as_before(*(*damaged)->generations());
    const auto begins = plan::decode_progress(**(*damaged)->progress(), BootTime{});
    ASSERT_TRUE(begins);
    EXPECT_EQ(begins->current, GenerationId{3});
    EXPECT_EQ(begins->good, GenerationId{3});
    EXPECT_EQ(begins->serving.at(proto::ServiceName{"web"}), instance_of(3));
    EXPECT_EQ(*(*damaged)->document(document(2).spec_digest), document_text(2));
  }
}

TEST_F(Damaged, WhatRunsDecidesWhereTheStateIsGone) {
  edit("DELETE FROM state");
  const auto why = open_ledger(dir());
  ASSERT_FALSE(why);
  auto damaged = open_damaged_ledger(dir(), why.error(), {running(3)});
  ASSERT_TRUE(damaged);
  const auto text = *(*damaged)->progress();
  ASSERT_TRUE(text);
  const auto begins = plan::decode_progress(*text, BootTime{});
  EXPECT_EQ(begins->current, GenerationId{3});
  EXPECT_EQ(begins->serving.at(proto::ServiceName{"web"}), instance_of(3));
}

TEST_F(Damaged, AForgedCopyIsNotBelieved) {
  plan::Progress forged;
  forged.addresses[proto::ServiceName{"web"}] = 7;
  const auto sql =
      fmt("UPDATE state SET progress = '{}', commits = commits + 1", plan::encode_progress(forged));
  auto copy = db::Db::open(backups(dir()).front() / "ledger.db", db::OpenMode::read_write);
  ASSERT_TRUE(copy && copy->exec(sql));
  edit("UPDATE state SET progress = NULL, commits = commits + 1");
  auto damaged = open_damaged_ledger(dir(), open_ledger(dir()).error(), {running(3)});
  ASSERT_TRUE(damaged);
  const auto begins = plan::decode_progress(**(*damaged)->progress(), BootTime{});
  EXPECT_EQ(begins->current, GenerationId{3});
  EXPECT_TRUE(begins->addresses.empty());
}

}  // namespace
}  // namespace holdfast::deploy::ledger
