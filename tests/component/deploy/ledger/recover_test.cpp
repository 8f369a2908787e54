// What `holdfast ledger recover` makes of every kind of damage, and what backups are for.
#include "tests/component/deploy/ledger/recover_fixture.hpp"

namespace holdfast::deploy::ledger {
namespace {

TEST_F(Recover, AChangedByteBeforeTheBackupLosesNothing) {
  edit(
      "UPDATE entries SET body = CAST(replace(CAST(body AS TEXT), 'wanted', 'WANTED') AS BLOB) "
      "WHERE number = 3");
  const auto report = recovered({running(3)});
  EXPECT_THAT(report.fault, HasSubstr("entry 3"));
  EXPECT_EQ(report.taken_over, 4U);
  EXPECT_EQ(report.new_head.number, 10U);
  EXPECT_EQ(report.lost_first, 0U);
  EXPECT_EQ(report.generation, 3U);
  EXPECT_TRUE(fs::exists(fs::path{report.moved_to} / "ledger.db"));
  EXPECT_TRUE(fs::exists(fs::path{report.moved_to} / "HEAD"));
  expect_whole(report);
  EXPECT_EQ(serving(), instance_of(3));
}

TEST_F(Recover, EditedTablesAreMadeAnewFromTheChain) {
  edit(
      "UPDATE generations SET result = 'failed', actor = 'somebody'; UPDATE state SET progress = "
      "'{}'");
  const auto report = recovered({running(3)});
  EXPECT_THAT(report.fault, HasSubstr("generation 1: its result"));
  EXPECT_EQ(report.lost_first, 0U);
  EXPECT_EQ(report.generation, 3U);
  expect_whole(report);
  EXPECT_EQ(serving(), instance_of(3)) << "what runs says so, not the edited state";
  for (const auto& row : *open()->generations()) {
    EXPECT_EQ(row.result, GenerationResult::good);
    EXPECT_EQ(row.actor, "root (uid 0)");
  }
}

TEST_F(Recover, WhatIsTakenOverHasTheResultsThatItsEntriesTell) {
  edit("UPDATE entries SET body = x'7b7d' WHERE number = 1");
  expect_whole(recovered({running(3)}));
  auto ledger = open();
  expect_table_as_before(*ledger->generations());
  EXPECT_EQ(*ledger->document(document(3).spec_digest), document_text(3));
}

TEST_F(Recover, AForgedNumberIsNotCountedTo) {
  edit(
      "INSERT INTO generations SELECT 9000000000000000000, spec_digest, 'good', 1, 0, 'a', 'b' "
      "FROM generations WHERE id = 1");
  const auto report = recovered({running(3)});
  EXPECT_LE(report.lost_generations.size(), 1'000U);
  EXPECT_EQ(report.generation, 3U);
  EXPECT_EQ(open()->generations()->size(), 3U);
}

TEST_F(Recover, AChangedByteAfterTheBackupLosesWhatFollowsAndSaysWhat) {
  edit("UPDATE entries SET body = x'7b7d' WHERE number = 8");
  const auto report = recovered({running(3)});
  EXPECT_EQ(report.taken_over, 1U);
  EXPECT_EQ(report.new_head.number, 7U);
  EXPECT_EQ(report.lost_first, 8U);
  EXPECT_EQ(report.lost_last, 10U);
  EXPECT_THAT(report.lost_generations, IsEmpty());
  expect_whole(report);
  EXPECT_EQ(serving(), instance_of(3)) << "what runs is described by a generation that is left";
}

TEST_F(Recover, DeletedLastRowsAreLostAndWhatRunsIsKept) {
  edit("DELETE FROM entries WHERE number > 6");
  const auto report = recovered({running(3)});
  EXPECT_EQ(report.taken_over, 0U);
  EXPECT_EQ(report.new_head.number, 6U);
  EXPECT_EQ(report.lost_last, 10U);
  EXPECT_THAT(report.lost_generations, ElementsAre(3U));
  EXPECT_EQ(report.generation, 0U);
  EXPECT_THAT(report.kept, ElementsAre(instance_of(3).str()));
  expect_whole(report);
  EXPECT_THAT(progress().kept, ElementsAre(instance_of(3)));
  EXPECT_GT(progress().next_sequence, 3U) << "no new instance may have the name of one that runs";
}

TEST_F(Recover, AnOlderCopyFindsWhatRunsAmongWhatItKnows) {
  const auto copy = temporary_->path() / "copy";
  fs::copy(dir() / "ledger.db", copy);
  { ASSERT_TRUE(open()->commit(note("later"))); }
  fs::remove(dir() / "ledger.db-wal");
  fs::remove(dir() / "ledger.db-shm");
  fs::copy(copy, dir() / "ledger.db", fs::copy_options::overwrite_existing);
  const auto report = recovered({running(3)});
  EXPECT_EQ(report.lost_first, 11U);
  EXPECT_EQ(report.generation, 3U);
  expect_whole(report);
}

TEST_F(Recover, ADeletedWalLosesItsEntriesOnly) {
  {
    auto ledger = open();  // closing folds the WAL into the file: what follows is in the WAL only
    auto writer = db::Db::open(dir() / "ledger.db", db::OpenMode::read_only);
    ASSERT_TRUE(writer && writer->integer("SELECT count(*) FROM entries"));
    ASSERT_TRUE(ledger->commit(note("in the WAL")));
    ASSERT_TRUE(ledger->commit(note("in the WAL")));
    fs::create_directory(temporary_->path() / "without");
    fs::copy(dir() / "ledger.db", temporary_->path() / "without/ledger.db");
  }
  fs::remove(dir() / "ledger.db-wal");
  fs::remove(dir() / "ledger.db-shm");
  fs::copy(temporary_->path() / "without/ledger.db", dir() / "ledger.db",
           fs::copy_options::overwrite_existing);
  const auto report = recovered({running(3)});
  EXPECT_EQ(report.new_head.number, 10U);
  EXPECT_EQ(report.lost_last, 12U);
  EXPECT_EQ(report.generation, 3U);
  expect_whole(report);
}

TEST_F(Recover, AMissingHeadLosesNothing) {
  fs::remove(dir() / "HEAD");
  const auto report = recovered({running(3)});
  EXPECT_EQ(report.new_head.number, 10U);
  EXPECT_EQ(report.lost_first, 0U);
  EXPECT_EQ(report.generation, 3U);
  expect_whole(report);
}

TEST_F(Recover, AHeadAheadOfTheRowsNamesWhatIsLost) {
  ASSERT_TRUE(
      os::write_atomic(dir() / "HEAD", fmt("{:<255}\n", "14 " + std::string(64, 'a') + " 99")));
  const auto report = recovered({running(3)});
  EXPECT_EQ(report.lost_first, 11U);
  EXPECT_EQ(report.lost_last, 14U);
  EXPECT_EQ(report.old_head.hash, std::string(64, 'a'));
  expect_whole(report);
}

TEST_F(Recover, AnEmptyFileIsRebuiltFromTheBackup) {
  fs::resize_file(dir() / "ledger.db", 0);
  fs::remove(dir() / "ledger.db-wal");
  const auto report = recovered({running(2)});
  EXPECT_EQ(report.new_head.number, 6U);
  EXPECT_EQ(report.generation, 2U);
  expect_whole(report);
  EXPECT_EQ(serving(), instance_of(2));
}

TEST_F(Recover, GarbageIsRebuiltFromTheBackup) {
  ASSERT_TRUE(os::write_atomic(dir() / "ledger.db", std::string(8192, 'x')));
  const auto report = recovered({running(2)});
  EXPECT_EQ(report.new_head.number, 6U);
  EXPECT_EQ(report.generation, 2U);
  expect_whole(report);
}

TEST_F(Recover, AMissingDatabaseIsRebuiltFromTheBackup) {
  fs::remove(dir() / "ledger.db");
  expect_whole(recovered({running(2)}));
}

TEST_F(Recover, ABackupThatIsDamagedTooIsPassedOverAndMovedAside) {
  ASSERT_TRUE(back_up(dir()));
  const auto newest = backups(dir()).front();
  {
    auto db = db::Db::open(newest / "ledger.db", db::OpenMode::read_write);
    ASSERT_TRUE(
        db && db->exec("DROP TRIGGER entries_refuse_delete; DELETE FROM entries WHERE number > 9"));
  }
  fs::remove(dir() / "ledger.db");
  const auto report = recovered({running(2)});
  EXPECT_EQ(report.new_head.number, 6U) << "the older one is whole";
  expect_whole(report);
  EXPECT_TRUE(fs::exists(fs::path{report.moved_to} / ("backup-" + newest.filename().string())));
  EXPECT_THAT(backups(dir()), ::testing::Not(::testing::Contains(newest)));
}

TEST_F(Recover, WithoutABackupWhatVerifiesOfTheDamagedFileIsKept) {
  fs::remove_all(dir() / "ledger.backup");
  edit("DELETE FROM entries WHERE number > 8");
  const auto report = recovered({running(3)});
  EXPECT_EQ(report.base, "");
  EXPECT_EQ(report.taken_over, 8U);
  EXPECT_EQ(report.lost_first, 9U);
  EXPECT_EQ(report.generation, 3U) << "it was accepted, and it runs";
  expect_whole(report);
  EXPECT_EQ(progress().good, GenerationId{2}) << "nothing says that it was good";
}

TEST_F(Recover, WithoutAnythingANewChainNamesTheOldHead) {
  fs::remove_all(dir() / "ledger.backup");
  const auto old_head = head_file();
  ASSERT_TRUE(os::write_atomic(dir() / "ledger.db", std::string(8192, 'x')));
  const auto report = recovered({running(3)});
  EXPECT_EQ(report.new_head.number, 0U);
  EXPECT_EQ(report.lost_first, 1U);
  EXPECT_EQ(report.lost_last, 10U);
  EXPECT_THAT(report.lost_generations, ElementsAre(1U, 2U, 3U));
  EXPECT_THAT(report.kept, ElementsAre(instance_of(3).str()));
  expect_whole(report);
  const auto entries = open()->entries(0, 1);
  EXPECT_THAT(old_head, HasSubstr(entries->front().entry.detail.at("old_head")));
}

TEST_F(Recover, AKillWhileFilesAreMovedIsMadeGoodByTheNextTry) {
  edit("UPDATE entries SET body = x'7b7d' WHERE number = 3");
  // As a recovery leaves it that was killed after it moved the old files away.
  const auto aside = dir() / "ledger.damaged/1970-01-01T00:00:00Z";
  fs::create_directories(aside);
  for (const auto* name : {"ledger.db", "ledger.db-wal", "HEAD"}) {
    if (fs::exists(dir() / name)) fs::rename(dir() / name, aside / name);
  }
  const auto report = recovered({running(3)});
  EXPECT_EQ(report.new_head.number, 10U);
  EXPECT_EQ(report.lost_first, 0U);
  EXPECT_EQ(report.generation, 3U);
  expect_whole(report);
}

TEST_F(Recover, AWholeLedgerIsLeftAlone) {
  const auto done = recover_ledger(dir(), options({}));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::conflict);
  EXPECT_FALSE(fs::exists(dir() / "ledger.damaged"));
}

TEST_F(Recover, AWishLastsUntilItIsForgotten) {
  EXPECT_FALSE(requested_recovery(dir()));
  ASSERT_TRUE(request_recovery(dir(), {"alice (uid 1000)", "it is 3 am"}));
  const auto request = requested_recovery(dir());
  ASSERT_TRUE(request);
  EXPECT_EQ(request->actor, "alice (uid 1000)");
  EXPECT_EQ(request->reason, "it is 3 am");
  forget_recovery(dir());
  EXPECT_FALSE(requested_recovery(dir()));
}

TEST_F(Recover, AStateDirectoryThatIsNotNewBeginsNoNewLedger) {
  fs::remove(dir() / "ledger.db");
  fs::remove(dir() / "HEAD");
  const auto refused = open_ledger(dir());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::ledger_truncated);
  EXPECT_THAT(refused.error().what(), HasSubstr("not new"));
}

TEST_F(Recover, TheLastBackupsAreKeptAndEachIsWholeByItself) {
  auto ledger = open();
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(ledger->commit(note(fmt("{}", i))));
    const auto head = back_up(dir());
    ASSERT_TRUE(head) << head.error().to_string();
    EXPECT_EQ(*head, *ledger->head());
    EXPECT_EQ(*back_up(dir()), *head) << "nothing is copied twice";
  }
  const auto all = backups(dir());
  ASSERT_EQ(all.size(), kBackups);
  for (const auto& each : all) {
    auto reader = open_reader(each);
    ASSERT_TRUE(reader);
    EXPECT_TRUE((*reader)->verify()->intact) << each;
  }
  EXPECT_FALSE(fs::exists(dir() / "ledger.backup/new"));
}

TEST_F(Recover, ADamagedLedgerIsNoBackup) {
  edit("UPDATE entries SET body = x'7b7d' WHERE number = 3");
  const auto before = backups(dir());
  const auto made = back_up(dir());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), Errc::ledger_corrupt);
  EXPECT_EQ(backups(dir()), before);
}

}  // namespace
}  // namespace holdfast::deploy::ledger
