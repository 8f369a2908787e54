// Full disks, failing writes, a process killed at any instant.
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "common/os/process.hpp"
#include "deploy/ledger/migrate.hpp"
#include "deploy/ledger/schema.hpp"
#include "tests/support/ledger_fixture.hpp"

namespace holdfast::deploy::ledger {
namespace {

namespace fs = std::filesystem;
using test::accept;
using test::fmt;
using test::note;
using ::testing::HasSubstr;

class StorageFailure : public test::LedgerTest {};

TEST_F(StorageFailure, AnAnchorThatLagsIsBroughtUpToDate) {
  std::string older;
  ASSERT_TRUE(open()->commit(accept(1, 'a')));  // closed, so HEAD names it
  older = head_file();
  ASSERT_TRUE(open()->commit(accept(2, 'b')));
  const auto newest = head_file();
  ASSERT_TRUE(os::write_atomic(dir() / "HEAD", older));  // power went between the commit and HEAD
  auto ledger = open();
  EXPECT_EQ(ledger->head()->number, 4U);
  EXPECT_EQ(head_file(), newest);
}

/// A child that commits and reports each durable head, until it is killed.
[[noreturn]] void commit_for_ever(const fs::path& dir, int report) {
  auto ledger = open_ledger(dir);
  if (!ledger) _exit(3);
  for (int i = 0;; ++i) {
    auto batch = i % 3 == 0 ? Batch{} : note(fmt("entry {}", i));
    batch.progress = fmt("{{\"at\":{}}}", i);
    auto head = (*ledger)->commit(batch);
    if (!head) _exit(4);
    if (!os::write_all(report, fmt("{}\n", head->number))) _exit(5);
  }
}

TEST_F(StorageFailure, WhatWasReportedSurvivesAKillAtAnyInstant) {
  std::uint64_t reported = 0;
  for (int round = 0; round < 12; ++round) {
    auto pipe = os::make_pipe();
    ASSERT_TRUE(pipe);
    const pid_t child = fork();
    if (child == 0) commit_for_ever(dir(), pipe->second.get());
    pipe->second.reset();
    pollfd first{.fd = pipe->first.get(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(poll(&first, 1, 10'000), 1) << "it opened the ledger and committed";
    usleep(static_cast<useconds_t>(7'000 + round * 3'137));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "child ended by itself, code " << WEXITSTATUS(status);
    std::string text(1 << 16, '\0');
    const auto got = read(pipe->first.get(), text.data(), text.size());
    text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    const auto end = text.rfind('\n');
    if (end != std::string::npos) {
      const auto begin = text.rfind('\n', end - 1);
      reported = std::stoull(text.substr(begin == std::string::npos ? 0 : begin + 1));
    }
    auto ledger = open();
    const auto report = ledger->verify();
    ASSERT_TRUE(report && report->intact);
    EXPECT_GE(report->head.number, reported);
  }
  EXPECT_GT(reported, 10U);
}

class FullDisk : public StorageFailure {
 protected:
  void SetUp() override {
    LedgerTest::SetUp();
    ASSERT_EQ(geteuid(), 0U) << "mounting needs root: run the tests through tests/run";
    fs::create_directories(dir());
    ASSERT_EQ(mount("tmpfs", dir().c_str(), "tmpfs", 0, "size=6m"), 0);
  }
  void TearDown() override { umount2(dir().c_str(), MNT_DETACH); }
  void fill() const {
    std::ofstream file{dir() / "filler"};
    const std::string block(4096, 'x');
    while (file << block << std::flush) {
    }
  }
};

TEST_F(FullDisk, TheReserveRecordsTheFailureAndSpaceHealsIt) {
  auto ledger = open();
  ASSERT_TRUE(ledger->commit(note("before")));
  ASSERT_TRUE(fs::exists(dir() / "reserve"));
  fill();
  // The WAL is at the start of its life: the disk is full at the latest when it has to grow.
  std::uint64_t committed = 1;
  while (fs::exists(dir() / "reserve")) {
    ASSERT_TRUE(ledger->commit(note(std::string(3000, 'r'))));
    ++committed;
    ASSERT_LT(committed, 2'000U);
  }
  Result<Head> refused = Head{};
  while (refused) {
    refused = ledger->commit(note(std::string(30'000, 'f')));
    if (refused) ++committed;
    ASSERT_LT(committed, 2'000U);
  }
  EXPECT_EQ(refused.error().code(), Errc::nospace) << refused.error().to_string();
  EXPECT_TRUE(ledger->verify()->intact);

  fs::remove(dir() / "filler");
  const auto after = ledger->commit(note("space again"));
  ASSERT_TRUE(after) << after.error().to_string();
  EXPECT_EQ(after->number, committed + 1);
  EXPECT_TRUE(fs::exists(dir() / "reserve")) << "the reserve comes back with the space";
  ledger.reset();
  EXPECT_EQ(open()->head()->number, committed + 1);
}

TEST_F(StorageFailure, AnIoErrorTurnsTheLedgerReadOnlyForGood) {
  auto ledger = open();
  ASSERT_TRUE(ledger->commit(note("before")));
  rlimit former{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &former), 0);
  const auto former_handler = signal(SIGXFSZ, SIG_IGN);
  const rlimit tiny{1024, former.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tiny), 0);
  const auto failed = ledger->commit(note("fails"));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &former), 0);
  signal(SIGXFSZ, former_handler);

  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), Errc::io) << failed.error().to_string();
  const auto later = ledger->commit(note("still refused"));
  ASSERT_FALSE(later);
  EXPECT_THAT(later.error().what(), HasSubstr("read-only since an earlier failure"));
  EXPECT_NE(later.error().next_step(), "");
  EXPECT_EQ(ledger->head()->number, 1U) << "reading goes on";
}

/// A frame that was written and not flushed may be there after a kill: HEAD goes on naming both.
TEST_F(StorageFailure, WhatWasNamedAheadAndIsUndecidedStaysNamed) {
  auto ledger = open();
  ASSERT_TRUE(ledger->commit({.entries = note("before").entries, .progress = "{\"at\":1}"}));
  const auto whole = *os::read_file(dir() / "ledger.db");
  rlimit former{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &former), 0);
  const auto former_handler = signal(SIGXFSZ, SIG_IGN);
  const rlimit tiny{1024, former.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tiny), 0);
  const auto failed = ledger->commit({.progress = "{\"at\":2}"});
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &former), 0);
  signal(SIGXFSZ, former_handler);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), Errc::io) << failed.error().to_string();
  ledger.reset();
  const auto left = head_file();
  EXPECT_EQ(split(trim(left), ' ').size(), 5U) << left;
  EXPECT_EQ(*open()->progress(), "{\"at\":1}") << "it is not there";
  ASSERT_TRUE(open()->commit({.progress = "{\"at\":2}"}));
  ASSERT_TRUE(os::write_atomic(dir() / "HEAD", left));
  EXPECT_EQ(*open()->progress(), "{\"at\":2}") << "it is there after all";
}

constexpr Migration kOne{
    1,
    "CREATE TABLE migrations (version INTEGER PRIMARY KEY, backward TEXT NOT NULL) STRICT; "
    "CREATE TABLE t (a INTEGER) STRICT; INSERT INTO t VALUES (1);",
    ""};
constexpr Migration kTwo{2, "ALTER TABLE t ADD COLUMN b TEXT;", "ALTER TABLE t DROP COLUMN b;"};
constexpr Migration kThree{3, "CREATE TABLE u (a INTEGER) STRICT;", ""};

class Migrating : public test::LedgerTest {
 protected:
  db::Db database() const {
    auto db = db::Db::open(temporary_->path() / "m.db", db::OpenMode::read_write);
    if (!db) std::abort();
    return std::move(db).value();
  }
  std::filesystem::path path() const { return temporary_->path() / "m.db"; }
};

TEST_F(Migrating, GoesForwardAndAnOlderProgramGoesBackWithWhatIsStored) {
  auto db = database();
  ASSERT_TRUE(migrate(db, std::array{kOne, kTwo}, path()));
  EXPECT_EQ(*db.integer("PRAGMA user_version"), 2);
  ASSERT_TRUE(db.exec("UPDATE t SET b = 'x'"));

  const auto back = migrate(db, std::array{kOne}, path());
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(*db.integer("PRAGMA user_version"), 1);
  EXPECT_EQ(*db.integer("SELECT count(*) FROM pragma_table_info('t')"), 1);
  auto copy = db::Db::open(temporary_->path() / "m.db.v2", db::OpenMode::read_only);
  ASSERT_TRUE(copy);
  EXPECT_EQ(*copy->text("SELECT b FROM t"), "x");

  ASSERT_TRUE(migrate(db, std::array{kOne, kTwo}, path()));
  EXPECT_EQ(*db.integer("PRAGMA user_version"), 2);
}

TEST_F(Migrating, TheSchemaOfAVersionIsTheSameByEveryWayToIt) {
  auto db = database();
  for (const std::size_t version : {2, 1, 2}) {
    ASSERT_TRUE(migrate(db, migrations().first(version), path()));
    const auto difference = schema_difference(db);
    ASSERT_TRUE(difference) << difference.error().to_string();
    EXPECT_EQ(difference->value_or(""), "") << version;
  }
}

TEST_F(Migrating, RefusesWithoutAWriteWhenThereIsNoWayBack) {
  auto db = database();
  ASSERT_TRUE(migrate(db, std::array{kOne, kTwo, kThree}, path()));
  const auto back = migrate(db, std::array{kOne}, path());
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().code(), Errc::conflict);
  EXPECT_THAT(back.error().what(), HasSubstr("is of version 3, this program knows 1"));
  EXPECT_EQ(*db.integer("PRAGMA user_version"), 3);
  EXPECT_FALSE(fs::exists(temporary_->path() / "m.db.v3"));
}

TEST_F(Migrating, AFailedStepLeavesTheFormerVersion) {
  auto db = database();
  const Migration broken{2, "CREATE TABLE half (a INTEGER) STRICT; NONSENSE;", ""};
  EXPECT_FALSE(migrate(db, std::array{kOne, broken}, path()));
  EXPECT_EQ(*db.integer("PRAGMA user_version"), 1);
  EXPECT_EQ(*db.integer("SELECT count(*) FROM sqlite_schema WHERE name = 'half'"), 0);
}

}  // namespace
}  // namespace holdfast::deploy::ledger
