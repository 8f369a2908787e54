#include "deploy/ledger/ledger.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "common/base/text.hpp"
#include "common/crypto/sha256.hpp"
#include "common/db/db.hpp"
#include "common/os/file.hpp"
#include "tests/support/ledger_fixture.hpp"

namespace holdfast::deploy::ledger {
namespace {

using test::accept;
using test::fmt;
using test::LedgerTest;
using test::note;

TEST_F(LedgerTest, BeginsEmptyWithAnAnchorAndPrivateFiles) {
  auto ledger = open();
  const auto head = ledger->head();
  ASSERT_TRUE(head);
  EXPECT_EQ(head->number, 0U);
  EXPECT_EQ(head->hash, std::string(64, '0'));
  EXPECT_EQ(head_file(), fmt("0 {} 0 {}", std::string(64, '0'), crypto::sha256_hex("")));
  struct stat info {};
  ASSERT_EQ(stat((dir() / "ledger.db").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 077U, 0U);
}

TEST_F(LedgerTest, KeepsABatchAsAWhole) {
  auto ledger = open();
  const auto head = ledger->commit(accept(1, 'a'));
  ASSERT_TRUE(head) << head.error().to_string();
  EXPECT_EQ(head->number, 2U);
  const auto second = ledger->commit(note("one more"));
  ASSERT_TRUE(second);
  const auto progress = crypto::sha256_hex("{\"at\":1}");
  EXPECT_THAT(head_file(), ::testing::AnyOf(fmt("2 {} 1 {}", head->hash, progress),
                                            fmt("3 {} 2 {}", second->hash, progress)))
      << "it lags by one at most";
  EXPECT_EQ(std::filesystem::file_size(dir() / "HEAD"), 256U) << "so that the next fits over it";

  const auto generations = ledger->generations();
  ASSERT_TRUE(generations);
  ASSERT_EQ(generations->size(), 1U);
  EXPECT_EQ(generations->front().id, GenerationId{1});
  EXPECT_EQ(generations->front().result, GenerationResult::pending);
  EXPECT_EQ(generations->front().actor, "root (uid 0)");
  EXPECT_EQ(*ledger->document(test::digest('a')), "name: a\n");
  EXPECT_EQ(*ledger->progress(), "{\"at\":1}");
}

TEST_F(LedgerTest, SealsTheDocumentInTheEntryThatAcceptsIt) {
  auto ledger = open();
  ASSERT_TRUE(ledger->commit(accept(1, 'a')));
  const auto entries = ledger->entries_of(GenerationId{1});
  ASSERT_TRUE(entries);
  ASSERT_EQ(entries->size(), 2U);
  EXPECT_EQ(entries->front().entry.detail.at("document_sha256"), crypto::sha256_hex("name: a\n"));
}

TEST_F(LedgerTest, RemembersThatAGenerationWasOnceGood) {
  auto ledger = open();
  ASSERT_TRUE(ledger->commit(accept(1, 'a')));
  ASSERT_TRUE(ledger->commit({.entries = note("good").entries,
                              .results = {{GenerationId{1}, GenerationResult::good, "soaked"}}}));
  ASSERT_TRUE(
      ledger->commit({.entries = note("back").entries,
                      .results = {{GenerationId{1}, GenerationResult::rolled_back, "operator"}}}));
  const auto generations = *ledger->generations();
  EXPECT_EQ(generations.front().result, GenerationResult::rolled_back);
  EXPECT_EQ(generations.front().reason, "operator");
  EXPECT_TRUE(generations.front().ever_good);
}

TEST_F(LedgerTest, RefusesAGenerationOutOfOrderAndKeepsNothingOfTheBatch) {
  auto ledger = open();
  const auto head = ledger->commit(accept(2, 'a'));
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().code(), Errc::conflict);
  EXPECT_EQ(ledger->head()->number, 0U);
  EXPECT_TRUE(ledger->commit(accept(1, 'a')))
      << "a refused batch must not make the ledger read-only";
}

TEST_F(LedgerTest, RefusesAResultForAnUnknownGeneration) {
  auto ledger = open();
  const auto head = ledger->commit({.entries = note("good").entries,
                                    .results = {{GenerationId{9}, GenerationResult::good, ""}}});
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().code(), Errc::not_found);
}

TEST_F(LedgerTest, RefusesAChangeOfTablesThatNoEntryTellsOf) {
  auto ledger = open();
  const auto head =
      ledger->commit({.quarantine = {{test::digest('a'), "agent", "unhealthy", WallTime{}}}});
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().code(), Errc::internal);
  EXPECT_TRUE(ledger->quarantine()->empty());
}

TEST_F(LedgerTest, QuarantinesAndReleasesDocuments) {
  auto ledger = open();
  ASSERT_TRUE(
      ledger->commit({.entries = note("bad").entries,
                      .quarantine = {{test::digest('a'), "agent", "unhealthy", WallTime{}}}}));
  ASSERT_EQ(ledger->quarantine()->size(), 1U);
  EXPECT_EQ(ledger->quarantine()->front().reason, "unhealthy");
  ASSERT_TRUE(
      ledger->commit({.entries = note("released").entries, .release = {test::digest('a')}}));
  EXPECT_TRUE(ledger->quarantine()->empty());
}

TEST_F(LedgerTest, PagesThroughEntries) {
  auto ledger = open();
  for (int i = 1; i <= 10; ++i) ASSERT_TRUE(ledger->commit(note(fmt("entry {}", i))));
  const auto page = ledger->entries(3, 4);
  ASSERT_TRUE(page);
  ASSERT_EQ(page->size(), 4U);
  EXPECT_EQ(page->front().number, 4U);
  EXPECT_EQ(page->back().entry.reason, "entry 7");
}

TEST_F(LedgerTest, IsTheSameAfterItWasClosedAndOpened) {
  Head before;
  {
    auto ledger = open();
    for (std::uint64_t i = 1; i <= 3; ++i)
      ASSERT_TRUE(ledger->commit(accept(i, static_cast<char>('a' + i))));
    before = *ledger->head();
  }
  auto ledger = open();
  EXPECT_EQ(*ledger->head(), before);
  EXPECT_EQ(ledger->generations()->size(), 3U);
  ASSERT_TRUE(ledger->commit(note("and on")));
  const auto report = ledger->verify();
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->intact) << report->fault;
  EXPECT_EQ(report->entries, before.number + 1);
}

TEST_F(LedgerTest, IsAppendOnlyForEveryConnection) {
  auto ledger = open();
  ASSERT_TRUE(ledger->commit(note("first")));
  auto other = db::Db::open(dir() / "ledger.db", db::OpenMode::read_write);
  ASSERT_TRUE(other);
  EXPECT_FALSE(other->exec("UPDATE entries SET body = x'7b7d' WHERE number = 1"));
  EXPECT_FALSE(other->exec("DELETE FROM entries"));
}

TEST_F(LedgerTest, UsesTheDurableSettings) {
  auto ledger = open();
  auto other = db::Db::open(dir() / "ledger.db", db::OpenMode::read_only);
  ASSERT_TRUE(other);
  EXPECT_EQ(*other->text("PRAGMA journal_mode"), "wal");
  EXPECT_EQ(*other->integer("PRAGMA page_size"), 4096);
  EXPECT_EQ(*other->integer("PRAGMA user_version"), 2);
  EXPECT_EQ(*other->integer("SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type "
                            "= 'table' AND NOT strict "
                            "AND name NOT LIKE 'sqlite_%'"),
            0);
}

TEST_F(LedgerTest, AReaderSeesWholeBatchesWhileTheLedgerIsWritten) {
  auto ledger = open();
  ASSERT_TRUE(ledger->commit(note("0")));
  std::atomic<bool> done{false};
  std::uint64_t looks = 0;
  std::string fault;
  std::thread reading{[&] {
    auto reader = open_reader(dir());
    if (!reader) {
      fault = reader.error().to_string();
      return;
    }
    std::uint64_t last = 0;
    while (!done && fault.empty()) {
      const auto report = (*reader)->verify();
      if (!report)
        fault = report.error().to_string();
      else if (!report->intact)
        fault = report->fault;
      else if (report->entries < last || report->entries % 3 != 1)
        fault = fmt("saw {} entries", report->entries);
      if (report) last = report->entries;
      ++looks;
    }
  }};
  for (int i = 0; i < 100; ++i) {
    Batch batch = note("a");
    batch.entries.resize(3, batch.entries.front());
    ASSERT_TRUE(ledger->commit(batch));
  }
  done = true;
  reading.join();
  EXPECT_EQ(fault, "");
  EXPECT_GT(looks, 3U);
}

TEST_F(LedgerTest, AReaderNeedsALedger) {
  const auto reader = open_reader(dir());
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().code(), Errc::not_found);
}

TEST_F(LedgerTest, AReaderWorksWithoutAWriter) {
  { ASSERT_TRUE(open()->commit(note("x"))); }
  auto reader = open_reader(dir());
  ASSERT_TRUE(reader) << reader.error().to_string();
  EXPECT_EQ((*reader)->head()->number, 1U);
}

}  // namespace
}  // namespace holdfast::deploy::ledger
