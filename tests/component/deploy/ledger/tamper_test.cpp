// packaging/doc/security.md T-54 and F-73: what somebody did to the files behind the ledger's back
// is noticed, each in words of its own.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <functional>
#include <random>

#include "deploy/ledger/backup.hpp"
#include "deploy/ledger/recover.hpp"
#include "deploy/plan/model/state.hpp"
#include "tests/component/deploy/ledger/tamper_fixture.hpp"

namespace holdfast::deploy::ledger {
namespace {

namespace fs = std::filesystem;
using test::accept;
using test::fmt;
using test::note;
using ::testing::HasSubstr;

TEST_F(Tamper, AChangedByteInARowIsNoticed) {
  edit(
      "UPDATE entries SET body = CAST(replace(CAST(body AS TEXT), '\"generation\":2', "
      "'\"generation\":3') AS BLOB) WHERE number = 3");
  expect_refused(Errc::ledger_corrupt, "entry 3: its hash");
  EXPECT_THAT(verify_fault(), HasSubstr("entry 3: its hash"));
}

TEST_F(Tamper, DeletedLastRowsAreNoticed) {
  edit("DELETE FROM entries WHERE number > 5");
  expect_refused(Errc::ledger_truncated, "entries 6 to 8 were deleted");
  EXPECT_THAT(verify_fault(), HasSubstr("entries 6 to 8 were deleted"));
}

TEST_F(Tamper, AnOlderCopyIsNoticed) {
  const auto copy = temporary_->path() / "copy";
  fs::copy(dir() / "ledger.db", copy);
  {
    auto ledger = open();
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(ledger->commit(note("later")));
  }
  fs::remove(dir() / "ledger.db-wal");
  fs::remove(dir() / "ledger.db-shm");
  fs::copy(copy, dir() / "ledger.db", fs::copy_options::overwrite_existing);
  expect_refused(Errc::ledger_truncated, "ledger.db is older than HEAD");
}

TEST_F(Tamper, ADeletedRowInTheMiddleIsNoticed) {
  edit("DELETE FROM entries WHERE number = 4");
  expect_refused(Errc::ledger_corrupt, "entry 4 is missing");
}

TEST_F(Tamper, ARewrittenChainIsNoticedByItsAnchor) {
  // All rows replaced by another whole ledger of the same length.
  const auto other = temporary_->path() / "other";
  {
    auto ledger = open_ledger(other);
    ASSERT_TRUE(ledger);
    for (int i = 0; i < 9; ++i) ASSERT_TRUE((*ledger)->commit(note(fmt("invented {}", i))));
  }
  fs::copy(other / "ledger.db", dir() / "ledger.db", fs::copy_options::overwrite_existing);
  expect_refused(Errc::ledger_corrupt, "entry 8 is not the one that HEAD names");
}

TEST_F(Tamper, AMissingAnchorIsNoticed) {
  fs::remove(dir() / "HEAD");
  expect_refused(Errc::ledger_truncated, "HEAD is missing");
}

TEST_F(Tamper, AnUnreadableAnchorIsNoticed) {
  ASSERT_TRUE(os::write_atomic(dir() / "HEAD", "nonsense"));
  expect_refused(Errc::ledger_corrupt, "HEAD is not");
  EXPECT_THAT(verify_fault(), HasSubstr("HEAD is not"));
}

TEST_F(Tamper, AMissingDatabaseIsNoticed) {
  fs::remove(dir() / "ledger.db");
  expect_refused(Errc::ledger_truncated, "ledger.db is gone, HEAD names entry 8");
}

TEST_F(Tamper, WhateverBecameOfTheFilesTheAgentComesUpAndARecoveryPutsItRight) {
  const auto head = dir() / "HEAD";
  const std::vector<std::pair<const char*, std::function<void()>>> cases{
      {"no row of state", [&] { edit("DELETE FROM state"); }},
      {"no version", [&] { edit("PRAGMA user_version = 0"); }},
      {"no table", [&] { edit("DROP TABLE quarantine"); }},
      {"commits beyond counting", [&] { edit("UPDATE state SET commits = 9223372036854775807"); }},
      {"HEAD is a directory",
       [&] {
         fs::remove(head);
         fs::create_directory(head);
       }},
      {"HEAD is a pipe",
       [&] {
         fs::remove(head);
         ASSERT_EQ(::mkfifo(head.c_str(), 0600), 0);
       }},
      {"HEAD counts beyond",
       [&] {
         auto text = *os::read_file(head);
         const auto at = text.find(' ', text.find(' ') + 1) + 1;
         text.replace(at, text.find(' ', at) - at, "9223372036854775807");
         ASSERT_TRUE(os::write_atomic(head, text, 0600));
       }},
      {"the database is a pipe",
       [&] {
         fs::remove(dir() / "ledger.db");
         ASSERT_EQ(::mkfifo((dir() / "ledger.db").c_str(), 0600), 0);
       }},
  };
  ASSERT_TRUE(back_up(dir()));
  const auto whole = temporary_->path() / "whole";
  fs::copy(dir(), whole, fs::copy_options::recursive);
  for (const auto& [what, damage] : cases) {
    SCOPED_TRACE(what);
    damage();
    const auto refused = open_ledger(dir());
    ASSERT_FALSE(refused);
    EXPECT_EQ(disposition(refused.error().code()), Disposition::stop)
        << refused.error().to_string();
    EXPECT_TRUE(open_damaged_ledger(dir(), refused.error(), {}));
    const auto recovered = recover_ledger(
        dir(),
        {.dry_run = false, .actor = "root", .reason = what, .now = WallTime{}, .running = {}});
    EXPECT_TRUE(recovered) << recovered.error().to_string();
    EXPECT_TRUE(open_ledger(dir()));
    fs::remove_all(dir());
    fs::copy(whole, dir(), fs::copy_options::recursive);
  }
}

TEST_F(Tamper, AWholeCopyIsBelievedWhereTheFileTellsNothingMore) {
  ASSERT_TRUE(back_up(dir()));
  edit("DELETE FROM entries");
  const auto refused = open_ledger(dir());
  ASSERT_FALSE(refused);
  const auto damaged = open_damaged_ledger(dir(), refused.error(), {});
  ASSERT_TRUE(damaged) << damaged.error().to_string();
  EXPECT_TRUE((*damaged)->stale());
  EXPECT_EQ((*damaged)->generations()->size(), 4U);
  EXPECT_TRUE((*damaged)->document(test::digest('b')));
}

TEST_F(Tamper, AFileThatIsNoDatabaseIsNoticed) {
  ASSERT_TRUE(os::write_atomic(dir() / "ledger.db", std::string(8192, 'x')));
  const auto ledger = open_ledger(dir());
  ASSERT_FALSE(ledger);
  EXPECT_EQ(ledger.error().code(), Errc::ledger_corrupt);
}

TEST_F(Tamper, AChangedDocumentIsRefusedAndNeverServed) {
  ASSERT_TRUE(open()->commit({.progress = plan::encode_progress({})}));
  edit("UPDATE documents SET body = 'name: evil' WHERE spec_digest = '" + test::digest('c').str() +
       "'");
  EXPECT_THAT(verify_fault(), HasSubstr("entry 3: the document " + test::digest('c').str()));
  expect_refused(Errc::ledger_corrupt, "entry 3: the document");
  const auto why = open_ledger(dir());
  auto damaged = open_damaged_ledger(dir(), why.error(), {});
  ASSERT_TRUE(damaged) << damaged.error().to_string();
  EXPECT_TRUE((*damaged)->stale()) << "so nothing that runs is stopped for it";
  const auto evil = (*damaged)->document(test::digest('c'));
  ASSERT_FALSE(evil);
  EXPECT_EQ(evil.error().code(), Errc::ledger_corrupt);
  EXPECT_EQ(*(*damaged)->document(test::digest('b')), "name: b\n");
}

/// A ledger with something in every table, as the engine leaves it.
class TamperedTables : public Tamper {
 protected:
  void SetUp() override {
    Tamper::SetUp();
    auto ledger = open();
    ASSERT_TRUE(ledger->commit(
        {.entries = note("good").entries,
         .results = {{GenerationId{2}, GenerationResult::good, "soaked"},
                     {GenerationId{3}, GenerationResult::failed, "unhealthy"}},
         .quarantine = {{test::digest('d'), "agent", "unhealthy", WallTime{}, {{"exit", "1"}}, {}},
                        {test::digest('x'), "root", "by hand", WallTime{}, {}, WallTime{}}}}));
    ASSERT_TRUE(ledger->commit(note("later")));
  }
};

TEST_F(TamperedTables, EveryEditedFieldIsNamedAtTheNextStart) {
  const auto intact = *os::read_file(dir() / "ledger.db", 1U << 30);
  struct Edit {
    const char* sql;
    const char* words;
  };
  for (const auto& [sql, words] : std::vector<Edit>{
           {"UPDATE generations SET result = 'good' WHERE id = 3",
            "generation 3: its result is \"good\", the chain says \"failed\""},
           {"UPDATE generations SET ever_good = 1 WHERE id = 1", "mark of having been good"},
           {"UPDATE generations SET actor = 'somebody' WHERE id = 1",
            "generation 1: its actor is \"somebody\", the chain says \"root (uid 0)\""},
           {"UPDATE generations SET reason = 'no' WHERE id = 1", "its reason is \"no\""},
           {"UPDATE generations SET accepted_ms = 7 WHERE id = 1", "generation 1: its time"},
           {"UPDATE generations SET spec_digest = (SELECT spec_digest FROM generations WHERE id = "
            "1) "
            "WHERE id = 2",
            "generation 2: its document"},
           {"DELETE FROM generations WHERE id = 4", "generation 4 is missing, the chain has it"},
           {"INSERT INTO generations SELECT 5, spec_digest, 'good', 1, 0, '', '' FROM generations "
            "WHERE id = 1",
            "generation 5 is in the file, and no entry tells of it"},
           {"DELETE FROM quarantine WHERE actor = 'agent'", "is missing, the chain has it"},
           {"UPDATE quarantine SET reason = 'x' WHERE actor = 'agent'", "its reason is \"x\""},
           {"UPDATE quarantine SET actor = 'x' WHERE actor = 'agent'", "its actor is \"x\""},
           {"UPDATE quarantine SET since_ms = 1 WHERE actor = 'agent'", "its beginning"},
           {"UPDATE quarantine SET until_ms = 1 WHERE actor = 'root'", "its end"},
           {"UPDATE quarantine SET until_ms = NULL WHERE actor = 'root'", "its end is \"none\""},
           {"UPDATE quarantine SET evidence = '{}' WHERE actor = 'agent'", "its evidence"},
           {"UPDATE state SET progress = '{}'", "not what HEAD names"},
           {"UPDATE state SET commits = commits + 2", "HEAD names commit"}}) {
    edit(sql);
    expect_refused(Errc::ledger_corrupt, words);
    EXPECT_THAT(verify_fault(), HasSubstr(words)) << sql;
    for (const auto* rest : {"ledger.db-wal", "ledger.db-shm"}) fs::remove(dir() / rest);
    ASSERT_TRUE(os::write_atomic(dir() / "ledger.db", intact, 0600));
    ASSERT_EQ(verify_fault(), "") << sql;
  }
}

TEST_F(TamperedTables, WhatOnlyAStopBetweenACommitAndItsHeadLeavesIsNoFault) {
  const auto before = *os::read_file(dir() / "HEAD");
  ASSERT_TRUE(open()->commit({.entries = note("one more").entries, .progress = "{\"at\":9}"}));
  ASSERT_TRUE(os::write_atomic(dir() / "HEAD", before));
  EXPECT_TRUE(open_ledger(dir()));
}

TEST_F(TamperedTables, ACommitThatNeitherHeadNorAnEntryTellsOfIsNoticed) {
  for (const auto* sql : {"UPDATE state SET progress = NULL, commits = commits + 1",
                          "UPDATE state SET progress = '{\"at\":1}', commits = commits + 1"}) {
    SCOPED_TRACE(sql);
    const auto whole = *os::read_file(dir() / "ledger.db");
    edit(sql);
    expect_refused(Errc::ledger_corrupt, "has no entry that tells of it");
    EXPECT_THAT(verify_fault(), HasSubstr("has no entry that tells of it"));
    const auto instead = open_damaged_ledger(dir(), open_ledger(dir()).error(), {});
    ASSERT_TRUE(instead);
    EXPECT_TRUE((*instead)->stale()) << "what it says is to be done is not believed";
    ASSERT_TRUE(os::write_atomic(dir() / "ledger.db", whole));
  }
}

TEST_F(TamperedTables, TheProgressThatTheLastEntryNamesIsHeldToIt) {
  const auto before = *os::read_file(dir() / "HEAD");
  ASSERT_TRUE(open()->commit({.entries = note("one more").entries, .progress = "{\"at\":9}"}));
  ASSERT_TRUE(os::write_atomic(dir() / "HEAD", before));
  edit("UPDATE state SET progress = '{\"at\":8}'");
  expect_refused(Errc::ledger_corrupt, "is not what the last entry names");
}

TEST_F(TamperedTables, ACommitWithoutAnEntryMayBeNamedAheadOfItself) {
  ASSERT_TRUE(open()->commit({.progress = "{\"at\":9}"}));
  const auto before = *os::read_file(dir() / "ledger.db");
  ASSERT_TRUE(open()->commit({.progress = "{\"at\":10}"}));
  EXPECT_EQ(verify_fault(), "");
  const auto after = *os::read_file(dir() / "ledger.db");
  ASSERT_TRUE(os::write_atomic(dir() / "ledger.db", before));
  EXPECT_EQ(*open()->progress(), "{\"at\":9}") << "it was cut off before the file held it";
  ASSERT_TRUE(open()->commit({.progress = "{\"at\":11}"}));
  ASSERT_TRUE(open()->commit({.progress = "{\"at\":12}"}));
  ASSERT_TRUE(os::write_atomic(dir() / "ledger.db", before));
  expect_refused(Errc::ledger_truncated, "older than HEAD");
  ASSERT_TRUE(os::write_atomic(dir() / "ledger.db", after));
  expect_refused(Errc::ledger_corrupt, "not what HEAD names");
}

TEST_F(TamperedTables, WhatOthersCommitWhileItIsOpenEndsItsWriting) {
  auto ledger = open();
  edit("UPDATE state SET commits = commits + 1");
  const auto refused = ledger->commit(note("late"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::ledger_corrupt);
  EXPECT_THAT(refused.error().to_string(), HasSubstr("was changed by others"));
  EXPECT_FALSE(ledger->commit(note("later")));
}

TEST_F(TamperedTables, ProgressThatOthersPutInWhileItIsOpenIsNotMadeItsOwn) {
  {
    auto ledger = open();
    edit("UPDATE state SET progress = '{\"at\":1}'");
    ASSERT_TRUE(ledger->commit(note("says nothing of progress")));
  }
  expect_refused(Errc::ledger_corrupt, "not what HEAD names");
}

TEST_F(TamperedTables, AnOlderHeadIsNoticed) {
  const auto before = *os::read_file(dir() / "HEAD");
  {
    auto ledger = open();
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(ledger->commit(note("forged, perhaps")));
  }
  ASSERT_TRUE(os::write_atomic(dir() / "HEAD", before));
  expect_refused(Errc::ledger_corrupt, "HEAD is written after each");
}

// Entries from before 2026-11-30 tell of tables in words only.
TEST_F(TamperedTables, AnOlderLedgerIsCoveredFromItsNextStartOn) {
  {
    auto db = db::Db::open(dir() / "ledger.db", db::OpenMode::read_write);
    ASSERT_TRUE(db);
    const auto trigger =
        db->text("SELECT sql FROM sqlite_master WHERE name = 'entries_refuse_update'");
    ASSERT_TRUE(trigger);
    ASSERT_TRUE(db->exec("DROP TRIGGER entries_refuse_update"));
    std::string hash(64, '0');
    for (std::int64_t number = 1; number <= 10; ++number) {
      auto read = db->prepare("SELECT body FROM entries WHERE number = ?1");
      ASSERT_TRUE(*read->bind(1, number).step());
      auto entry = proto::decode_entry(read->text(0));
      ASSERT_TRUE(entry);
      entry->detail.erase("tables");
      const auto body = proto::encode_entry(*entry);
      hash = proto::entry_hash(static_cast<std::uint64_t>(number), hash, body);
      auto write = db->prepare("UPDATE entries SET body = ?1, hash = ?2 WHERE number = ?3");
      ASSERT_TRUE(write->bind_blob(1, body).bind(2, hash).bind(3, number).run());
    }
    ASSERT_TRUE(db->exec(*trigger));
    ASSERT_TRUE(os::write_atomic(dir() / "HEAD", fmt("{:<127}\n", fmt("10 {} 6", hash)), 0600));
  }
  EXPECT_EQ(open()->head()->number, 11U) << "one entry that says so";
  EXPECT_EQ(verify_fault(), "");
  EXPECT_EQ(open()->head()->number, 11U) << "once";
  edit("UPDATE generations SET result = 'good' WHERE id = 3");
  expect_refused(Errc::ledger_corrupt, "generation 3: its result");
}

// Whatever batches do, replaying the entries gives the tables.
TEST_F(TamperedTables, RandomBatchesAreCovered) {
  std::mt19937 random{7};
  const auto pick = [&](std::uint64_t below) { return random() % below; };
  std::uint64_t last = 4;
  auto ledger = open();
  for (int round = 0; round < 200; ++round) {
    auto batch = note(fmt("round {} \xff", round));
    if (pick(4) == 0) batch = accept(++last, static_cast<char>('a' + pick(20)));
    for (std::uint64_t i = pick(3); i > 0; --i)
      batch.results.push_back({GenerationId{1 + pick(last)}, static_cast<GenerationResult>(pick(5)),
                               fmt("because {} \xc3", pick(99))});
    if (pick(3) == 0)
      batch.quarantine.push_back({test::digest(static_cast<char>('a' + pick(6))),
                                  "agent",
                                  fmt("bad {}", pick(9)),
                                  WallTime{Milliseconds{pick(1000)}},
                                  {{"key \xff", fmt("{}", pick(9))}},
                                  {}});
    if (pick(3) == 0) batch.release.push_back(test::digest(static_cast<char>('a' + pick(6))));
    ASSERT_TRUE(ledger->commit(batch));
    if (round % 20 == 0) {
      ledger.reset();
      ledger = open();
    }
  }
  ledger.reset();
  EXPECT_EQ(verify_fault(), "");
}

TEST_F(Tamper, AChangedGenerationColumnIsFoundByVerify) {
  edit("UPDATE entries SET generation = 9 WHERE number = 2");
  EXPECT_THAT(verify_fault(), HasSubstr("entry 2: its generation column says 9"));
}

TEST_F(Tamper, ADamagedLedgerCanStillBeReadButNotWritten) {
  const auto progress = plan::encode_progress({});
  ASSERT_TRUE(open()->commit({.progress = progress}));
  edit("DELETE FROM entries WHERE number > 5");
  auto refused = open_ledger(dir());
  ASSERT_FALSE(refused);
  auto ledger = open_damaged_ledger(dir(), refused.error(), {});
  ASSERT_TRUE(ledger) << ledger.error().to_string();
  EXPECT_EQ((*ledger)->generations()->size(), 4U);
  EXPECT_EQ(**(*ledger)->progress(), progress);
  const auto done = (*ledger)->commit(note("no"));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::ledger_truncated);
}

}  // namespace
}  // namespace holdfast::deploy::ledger
