// What every ledger promises its engine (deploy/ledger/ledger.hpp), the one for tests too.
#include "deploy/ledger/ledger.hpp"

#include <gmock/gmock.h>

#include "common/crypto/sha256.hpp"
#include "common/os/file.hpp"
#include "tests/support/ledger_fixture.hpp"
#include "tests/support/memory_ledger.hpp"

namespace holdfast::deploy::ledger {
namespace {

using test::accept;
using test::note;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class OnDisk {
 public:
  [[nodiscard]] Ledger& ledger() { return *ledger_; }

 private:
  os::TempDir dir_ = *os::TempDir::create("/var/tmp", "holdfast-ledger");
  std::unique_ptr<Ledger> ledger_ = std::move(open_ledger(dir_.path() / "state")).value();
};

class InMemory {
 public:
  [[nodiscard]] Ledger& ledger() { return ledger_; }

 private:
  test::MemoryLedger ledger_;
};

template <class Kind>
class LedgerContract : public testing::Test {
 protected:
  Ledger& ledger() { return kind_.ledger(); }
  /// What must hold whatever was asked.
  void TearDown() override {
    const auto verified = ledger().verify();
    ASSERT_TRUE(verified);
    EXPECT_TRUE(verified->intact) << verified->fault;
    EXPECT_EQ(verified->head, *ledger().head());
  }

 private:
  Kind kind_;
};

using Kinds = testing::Types<OnDisk, InMemory>;
TYPED_TEST_SUITE(LedgerContract, Kinds);

Batch result(std::uint64_t id, GenerationResult result, std::string reason) {
  auto batch = note("a result");
  batch.results = {{GenerationId{id}, result, std::move(reason)}};
  return batch;
}

TYPED_TEST(LedgerContract, BeginsEmpty) {
  auto& ledger = this->ledger();
  EXPECT_EQ(ledger.head()->number, 0U);
  EXPECT_EQ(ledger.head()->hash, std::string(64, '0'));
  EXPECT_THAT(*ledger.generations(), IsEmpty());
  EXPECT_THAT(*ledger.quarantine(), IsEmpty());
  EXPECT_EQ(*ledger.progress(), std::nullopt);
  EXPECT_FALSE(ledger.in_doubt());
  EXPECT_FALSE(ledger.stale());
}

TYPED_TEST(LedgerContract, TakesABatchAsAWhole) {
  auto& ledger = this->ledger();
  const auto head = ledger.commit(accept(1, 'a'));
  ASSERT_TRUE(head) << head.error().to_string();
  EXPECT_EQ(head->number, 2U);
  EXPECT_EQ(*head, *ledger.head());
  const auto generations = *ledger.generations();
  ASSERT_THAT(generations, SizeIs(1));
  EXPECT_EQ(generations.front().id, GenerationId{1});
  EXPECT_EQ(generations.front().result, GenerationResult::pending);
  EXPECT_EQ(generations.front().actor, "root (uid 0)");
  EXPECT_EQ(*ledger.document(test::digest('a')), "name: a\n");
  EXPECT_EQ(**ledger.progress(), "{\"at\":1}");
  ASSERT_TRUE(ledger.commit(note("one more")));
  EXPECT_EQ(**ledger.progress(), "{\"at\":1}") << "a batch without one leaves it";
}

TYPED_TEST(LedgerContract, SealsTheDocumentInTheEntryThatAcceptsIt) {
  auto& ledger = this->ledger();
  ASSERT_TRUE(ledger.commit(accept(1, 'a')));
  const auto entries = *ledger.entries_of(GenerationId{1});
  ASSERT_THAT(entries, SizeIs(2));
  EXPECT_THAT(entries.front().entry.detail,
              ElementsAre(std::pair{"document_sha256", crypto::sha256_hex("name: a\n")}))
      << "and shows nothing else";
  EXPECT_EQ(entries.front().entry.spec_digest, test::digest('a'));
}

TYPED_TEST(LedgerContract, TheFirstDocumentOfADigestStays) {
  auto& ledger = this->ledger();
  ASSERT_TRUE(ledger.commit(accept(1, 'a')));
  auto again = accept(2, 'a');
  again.generation->document = "name: a  # with a comment\n";
  ASSERT_TRUE(ledger.commit(again));
  EXPECT_EQ(*ledger.document(test::digest('a')), "name: a\n");
}

TYPED_TEST(LedgerContract, KeepsNothingOfABatchThatItRefuses) {
  auto& ledger = this->ledger();
  const auto out_of_order = ledger.commit(accept(2, 'a'));
  ASSERT_FALSE(out_of_order);
  EXPECT_EQ(out_of_order.error().code(), Errc::conflict);
  auto unknown = accept(1, 'a');
  unknown.results = {{GenerationId{9}, GenerationResult::good, ""}};
  const auto refused = ledger.commit(unknown);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::not_found);
  const auto untold = ledger.commit({.release = {test::digest('a')}});
  ASSERT_FALSE(untold);
  EXPECT_EQ(untold.error().code(), Errc::internal) << "no entry tells of it";
  EXPECT_EQ(ledger.head()->number, 0U);
  EXPECT_THAT(*ledger.generations(), IsEmpty());
  EXPECT_FALSE(ledger.document(test::digest('a')));
  EXPECT_TRUE(ledger.commit(accept(1, 'a'))) << "and takes what follows";
}

TYPED_TEST(LedgerContract, RemembersThatAGenerationWasOnceGood) {
  auto& ledger = this->ledger();
  ASSERT_TRUE(ledger.commit(accept(1, 'a')));
  ASSERT_TRUE(ledger.commit(result(1, GenerationResult::good, "soaked")));
  ASSERT_TRUE(ledger.commit(result(1, GenerationResult::rolled_back, "operator")));
  const auto row = ledger.generations()->front();
  EXPECT_EQ(row.result, GenerationResult::rolled_back);
  EXPECT_EQ(row.reason, "operator");
  EXPECT_TRUE(row.ever_good);
}

TYPED_TEST(LedgerContract, ListsTheNewestGenerationFirst) {
  auto& ledger = this->ledger();
  for (std::uint64_t id = 1; id <= 12; ++id) ASSERT_TRUE(ledger.commit(accept(id, 'a')));
  const auto rows = *ledger.generations();
  ASSERT_THAT(rows, SizeIs(12));
  EXPECT_EQ(rows.front().id, GenerationId{12});
  EXPECT_EQ(rows.back().id, GenerationId{1});
}

TYPED_TEST(LedgerContract, QuarantinesReplacesAndReleases) {
  auto& ledger = this->ledger();
  auto bad = note("bad");
  bad.quarantine = {{test::digest('b'), "agent", "second", WallTime{Milliseconds{2}}, {}, {}},
                    {test::digest('a'), "agent", "first", WallTime{Milliseconds{1}}, {}, {}}};
  ASSERT_TRUE(ledger.commit(bad));
  auto rows = *ledger.quarantine();
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows.front().reason, "first") << "by age";
  auto worse = note("worse");
  worse.quarantine = {{test::digest('a'),
                       "root",
                       "again",
                       WallTime{Milliseconds{3}},
                       {{"exit", "1"}},
                       WallTime{Milliseconds{9}}}};
  ASSERT_TRUE(ledger.commit(worse));
  rows = *ledger.quarantine();
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows.back().actor, "root");
  EXPECT_EQ(rows.back().evidence.at("exit"), "1");
  EXPECT_EQ(rows.back().until, WallTime{Milliseconds{9}});
  auto over = note("over");
  over.release = {test::digest('a'), test::digest('z')};
  ASSERT_TRUE(ledger.commit(over)) << "what is not there is released too";
  ASSERT_THAT(*ledger.quarantine(), SizeIs(1));
}

TYPED_TEST(LedgerContract, PagesThroughEntries) {
  auto& ledger = this->ledger();
  for (int i = 1; i <= 10; ++i) ASSERT_TRUE(ledger.commit(note(test::fmt("entry {}", i))));
  const auto page = *ledger.entries(3, 4);
  ASSERT_THAT(page, SizeIs(4));
  EXPECT_EQ(page.front().number, 4U);
  EXPECT_EQ(page.front().entry.reason, "entry 4");
  EXPECT_THAT(*ledger.entries(10, 4), IsEmpty());
  EXPECT_THAT(*ledger.entries(0, 100), SizeIs(10));
}

TYPED_TEST(LedgerContract, WhatIsUnknownIsNotFound) {
  auto& ledger = this->ledger();
  const auto document = ledger.document(test::digest('q'));
  ASSERT_FALSE(document);
  EXPECT_EQ(document.error().code(), Errc::not_found);
  EXPECT_THAT(*ledger.entries_of(GenerationId{7}), IsEmpty());
}

}  // namespace
}  // namespace holdfast::deploy::ledger
