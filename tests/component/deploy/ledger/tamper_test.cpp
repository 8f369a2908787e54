// packaging/doc/security.md T-54 and F-73: what somebody did to the files behind the ledger's back
// is noticed, each in words of its own.
#include <gmock/gmock.h>

#include <functional>

#include "common/db/db.hpp"
#include "deploy/plan/state.hpp"
#include "tests/support/ledger_fixture.hpp"

namespace holdfast::deploy::ledger {
namespace {

namespace fs = std::filesystem;
using test::accept;
using test::fmt;
using test::note;
using ::testing::HasSubstr;

class Tamper : public test::LedgerTest {
 protected:
  void SetUp() override {
    LedgerTest::SetUp();
    auto ledger = open();
    for (std::uint64_t i = 1; i <= 4; ++i)
      ASSERT_TRUE(ledger->commit(accept(i, static_cast<char>('a' + i))));
  }

  /// As somebody who knows SQL: without the triggers.
  void edit(const std::string& sql) const {
    auto db = db::Db::open(dir() / "ledger.db", db::OpenMode::read_write);
    ASSERT_TRUE(db);
    const auto done =
        db->exec("DROP TRIGGER entries_refuse_update; DROP TRIGGER entries_refuse_delete; " + sql);
    ASSERT_TRUE(done) << done.error().to_string();
  }

  void expect_refused(Errc code, const std::string& words) const {
    const auto ledger = open_ledger(dir());
    ASSERT_FALSE(ledger);
    EXPECT_EQ(ledger.error().code(), code) << ledger.error().to_string();
    EXPECT_THAT(ledger.error().what(), HasSubstr(words));
    EXPECT_THAT(ledger.error().next_step(), HasSubstr("holdfast ledger recover"));
    EXPECT_EQ(disposition(ledger.error().code()), Disposition::stop);
  }

  std::string verify_fault() const {
    auto reader = open_reader(dir());
    if (!reader) return reader.error().what();
    const auto report = (*reader)->verify();
    if (!report) return report.error().what();
    EXPECT_EQ(report->intact, report->fault.empty());
    return report->fault;
  }
};

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

TEST_F(Tamper, AFileThatIsNoDatabaseIsNoticed) {
  ASSERT_TRUE(os::write_atomic(dir() / "ledger.db", std::string(8192, 'x')));
  const auto ledger = open_ledger(dir());
  ASSERT_FALSE(ledger);
  EXPECT_EQ(ledger.error().code(), Errc::ledger_corrupt);
}

TEST_F(Tamper, AChangedDocumentIsFoundByVerify) {
  edit("UPDATE documents SET body = 'name: evil' WHERE spec_digest = '" + test::digest('c').str() +
       "'");
  EXPECT_THAT(verify_fault(), HasSubstr("entry 3: the document " + test::digest('c').str()));
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
  auto ledger = open_damaged_ledger(dir(), refused.error());
  ASSERT_TRUE(ledger) << ledger.error().to_string();
  EXPECT_EQ((*ledger)->generations()->size(), 4U);
  EXPECT_EQ(**(*ledger)->progress(), progress);
  const auto done = (*ledger)->commit(note("no"));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::ledger_truncated);
}

}  // namespace
}  // namespace holdfast::deploy::ledger
