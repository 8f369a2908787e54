// What `holdfast ledger recover` makes of every kind of damage, and what backups are for.
#include "deploy/ledger/recover.hpp"

#include <gmock/gmock.h>

#include "common/db/db.hpp"
#include "deploy/ledger/backup.hpp"
#include "deploy/plan/plan.hpp"
#include "tests/support/ledger_fixture.hpp"

namespace holdfast::deploy::ledger {
namespace {

namespace fs = std::filesystem;
using plan::InstanceId;
using plan::InstanceState;
using proto::EntryKind;
using test::fmt;
using test::note;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kPinned =
    "registry.example.com/shop/web:1.0.0@" + proto::Digest::of("image").str();

std::string document_text(int version) {
  return fmt(
      "apiVersion: holdfast/v1\nname: shop\nservices:\n  web:\n    image: {}\n    env: {{V: "
      "\"{}\"}}\n",
      kPinned, version);
}

proto::Deployment document(int version) {
  return proto::load_deployment(document_text(version), "test").value();
}

proto::Digest run_hash(int version) {
  return document(version).services.at(proto::ServiceName{"web"}).run_hash;
}

InstanceId instance_of(int version) {
  return plan::make_instance_id(proto::ServiceName{"web"}, run_hash(version),
                                static_cast<std::uint64_t>(version));
}

plan::ObservedInstance running(int version) {
  return {.id = instance_of(version),
          .service = proto::ServiceName{"web"},
          .generation = static_cast<std::uint64_t>(version),
          .run_hash = run_hash(version),
          .image = proto::Digest::of("image"),
          .manifest = proto::Digest::of("image"),
          .state = InstanceState::running,
          .pid = 77,
          .address = 0,
          .started = {},
          .started_boot = {},
          .starts = 1,
          .exit = {},
          .deviations = {}};
}

proto::Entry made(EntryKind kind, int version, std::string reason) {
  proto::Entry entry;
  entry.kind = kind;
  entry.actor = "root (uid 0)";
  entry.reason = std::move(reason);
  entry.generation = static_cast<std::uint64_t>(version);
  entry.spec_digest = document(version).spec_digest;
  return entry;
}

/// As the engine accepts a generation and finds it good: two batches, three entries.
void become_good(Ledger& ledger, int version) {
  const GenerationId id{static_cast<std::uint64_t>(version)};
  plan::Progress progress;
  progress.current = id;
  progress.next_sequence = static_cast<std::uint64_t>(version) + 1;
  ASSERT_TRUE(
      ledger.commit({.entries = {made(EntryKind::accepted, version, "wanted"),
                                 made(EntryKind::rollout_started, version, "")},
                     .generation = NewGeneration{.id = id,
                                                 .spec_digest = document(version).spec_digest,
                                                 .document = document_text(version),
                                                 .actor = "root (uid 0)",
                                                 .reason = "wanted",
                                                 .accepted = WallTime{}},
                     .progress = plan::encode_progress(progress)}));
  progress.good = id;
  progress.serving[proto::ServiceName{"web"}] = instance_of(version);
  const Batch batch{.entries = {made(EntryKind::good, version, "wanted")},
                    .results = {{id, GenerationResult::good, "wanted"}},
                    .progress = plan::encode_progress(progress)};
  ASSERT_TRUE(ledger.commit(batch));
}

class Recover : public test::LedgerTest {
 protected:
  /// Three good generations, nine entries, a backup after the second, as its last one or the third.
  void SetUp() override {
    LedgerTest::SetUp();
    auto ledger = open();
    become_good(*ledger, 1);
    become_good(*ledger, 2);
    ASSERT_TRUE(back_up(dir()));
    become_good(*ledger, 3);
    ASSERT_TRUE(ledger->commit(note("the end")));
    table_ = *ledger->generations();
  }

  void edit(const std::string& sql) const {
    auto db = db::Db::open(dir() / "ledger.db", db::OpenMode::read_write);
    ASSERT_TRUE(db);
    const auto done =
        db->exec("DROP TRIGGER entries_refuse_update; DROP TRIGGER entries_refuse_delete; " + sql);
    ASSERT_TRUE(done) << done.error().to_string();
  }

  [[nodiscard]] RecoverOptions options(std::vector<plan::ObservedInstance> seen) const {
    return {.dry_run = false,
            .actor = "root (uid 0)",
            .reason = "a test",
            .now = WallTime{Milliseconds{1'000}},
            .running = std::move(seen)};
  }

  proto::api::LedgerRecovery recovered(std::vector<plan::ObservedInstance> seen) const {
    const auto refused = open_ledger(dir());
    EXPECT_FALSE(refused) << "nothing is damaged";
    auto request = options(std::move(seen));
    request.dry_run = true;
    const auto before = recover_ledger(dir(), request);
    EXPECT_TRUE(before) << before.error().to_string();
    EXPECT_FALSE(open_ledger(dir())) << "a dry run changed something";
    request.dry_run = false;
    auto done = recover_ledger(dir(), request);
    if (!done) {
      ADD_FAILURE() << done.error().to_string();
      return {};
    }
    EXPECT_EQ(before->new_head.hash, done->new_head.hash);
    EXPECT_EQ(before->kept, done->kept);
    EXPECT_FALSE(fs::exists(dir() / "ledger.recovered"));
    const auto again = recover_ledger(dir(), request);
    EXPECT_FALSE(again);
    EXPECT_EQ(again.error().code(), Errc::conflict);
    return std::move(done).value();
  }

  /// The new ledger takes entries, verifies, and begins to tell what happened.
  void expect_whole(const proto::api::LedgerRecovery& report) const {
    auto ledger = open();
    ASSERT_TRUE(ledger->commit(note("and on")));
    const auto verified = ledger->verify();
    ASSERT_TRUE(verified);
    EXPECT_TRUE(verified->intact) << verified->fault;
    EXPECT_EQ(verified->entries, report.new_head.number + 2);
    const auto entries = ledger->entries(report.new_head.number, 1);
    ASSERT_TRUE(entries);
    const auto& told = entries->front().entry;
    EXPECT_EQ(told.kind, EntryKind::recovered);
    EXPECT_EQ(told.actor, "root (uid 0)");
    EXPECT_EQ(told.reason, "a test");
    EXPECT_EQ(told.detail.at("old_head"),
              fmt("{} {}", report.old_head.number, report.old_head.hash));
    EXPECT_EQ(told.detail.at("moved_to"), report.moved_to);
  }

  [[nodiscard]] plan::Progress progress() const {
    return plan::decode_progress(**open()->progress(), BootTime{}).value();
  }

  [[nodiscard]] InstanceId serving() const {
    const auto now = progress();
    const auto found = now.serving.find(proto::ServiceName{"web"});
    return found == now.serving.end() ? InstanceId{} : found->second;
  }

  std::vector<Generation> table_;
};

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
  const auto rows = *ledger->generations();
  ASSERT_EQ(rows.size(), table_.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].id, table_[i].id);
    EXPECT_EQ(rows[i].result, table_[i].result) << i;
    EXPECT_EQ(rows[i].reason, table_[i].reason);
    EXPECT_EQ(rows[i].ever_good, table_[i].ever_good);
    EXPECT_EQ(rows[i].spec_digest, table_[i].spec_digest);
  }
  EXPECT_EQ(*ledger->document(document(3).spec_digest), document_text(3));
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

TEST_F(Recover, ADamagedLedgerIsStaleUnlessItsLastCommitIsThere) {
  edit("UPDATE entries SET body = x'7b7d' WHERE number = 3");
  const auto why = open_ledger(dir()).error();
  EXPECT_FALSE((*open_damaged_ledger(dir(), why))->stale()) << "its state is as new as HEAD says";
  ASSERT_TRUE(os::write_atomic(dir() / "ledger.db", std::string(8192, 'x')));
  auto instead = open_damaged_ledger(dir(), why);
  ASSERT_TRUE(instead);
  EXPECT_TRUE((*instead)->stale());
  EXPECT_EQ((*instead)->generations()->size(), 2U) << "the backup speaks for it";
  fs::remove_all(dir() / "ledger.backup");
  auto nothing = open_damaged_ledger(dir(), why);
  ASSERT_TRUE(nothing);
  EXPECT_TRUE((*nothing)->stale());
  EXPECT_THAT(*(*nothing)->generations(), IsEmpty());
  EXPECT_FALSE((*nothing)->commit(note("no")));
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
