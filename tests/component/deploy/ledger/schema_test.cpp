// What a file brings beside rows is compared before it is believed, and what it brings is bounded.
#include <functional>

#include "deploy/ledger/backup.hpp"
#include "deploy/ledger/recover.hpp"
#include "tests/component/deploy/ledger/tamper_fixture.hpp"

namespace holdfast::deploy::ledger {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Planting = Tamper;

struct Planted {
  const char* what;
  const char* sql;
  const char* said;
};
void PrintTo(const Planted& planted, std::ostream* out) { *out << planted.what; }

class TamperedSchema : public Tamper, public ::testing::WithParamInterface<Planted> {};

TEST_P(TamperedSchema, IsNoticedReadWithoutHarmAndRecovered) {
  ASSERT_TRUE(back_up(dir()));
  edit(GetParam().sql);
  const auto refused = open_ledger(dir());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::ledger_corrupt);
  EXPECT_THAT(refused.error().what(), HasSubstr(GetParam().said));
  EXPECT_THAT(verify_fault(), HasSubstr(GetParam().said));
  const auto damaged = open_damaged_ledger(dir(), refused.error(), {});
  ASSERT_TRUE(damaged) << damaged.error().to_string();
  EXPECT_EQ((*damaged)->generations()->size(), 4U);
  const auto recovered = recover_ledger(
      dir(),
      {.dry_run = false, .actor = "root", .reason = "test", .now = WallTime{}, .running = {}});
  ASSERT_TRUE(recovered) << recovered.error().to_string();
  EXPECT_EQ(open()->generations()->size(), 4U);
  EXPECT_EQ(verify_fault(), "");
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, TamperedSchema,
    ::testing::Values(
        Planted{
            "a view without end",
            "ALTER TABLE generations RENAME TO kept; CREATE VIEW generations (id, spec_digest, "
            "result, ever_good, accepted_ms, actor, reason) AS WITH RECURSIVE n(x) AS (SELECT 1 "
            "UNION ALL SELECT x + 1 FROM n) SELECT x, '', 'good', 1, 0, '', '' FROM n",
            "generations is no table"},
        Planted{"a view over the state",
                "ALTER TABLE state RENAME TO kept; CREATE VIEW state AS SELECT * FROM kept",
                "state is no table"},
        Planted{"a trigger that refuses",
                "CREATE TRIGGER more BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'no'); END",
                "the trigger more belongs to no ledger"},
        Planted{"a trigger that changes",
                "CREATE TRIGGER more AFTER UPDATE ON state BEGIN DELETE FROM quarantine; END",
                "the trigger more belongs to no ledger"},
        Planted{"a trigger of ours that does something else",
                "CREATE TRIGGER before_it BEFORE UPDATE ON generations BEGIN SELECT 1; END",
                "the trigger before_it belongs to no ledger"},
        Planted{"an index over an expression", "CREATE INDEX more ON entries (upper(body))",
                "the index more belongs to no ledger"},
        Planted{"a column", "ALTER TABLE documents ADD COLUMN more TEXT",
                "the table documents is not that of a ledger"},
        Planted{"an index that is gone", "DROP INDEX entries_by_generation",
                "the index entries_by_generation is gone"}));

TEST_F(Planting, ATriggerOfOursThatIsGoneIsNoticed) {
  auto db = db::Db::open(dir() / "ledger.db", db::OpenMode::read_write);
  ASSERT_TRUE(db);
  ASSERT_TRUE(db->exec("DROP TRIGGER entries_refuse_delete"));
  expect_refused(Errc::ledger_corrupt, "the trigger entries_refuse_delete is gone");
}

TEST_F(Planting, ValuesBeyondAnyBoundAreNotRead) {
  ASSERT_TRUE(back_up(dir()));
  const std::vector<std::pair<const char*, const char*>> cases{
      {"a document", "UPDATE documents SET body = hex(zeroblob(8388608))"},
      {"an actor", "UPDATE generations SET actor = hex(zeroblob(8388608)) WHERE id = 2"},
      {"the state of the engine", "UPDATE state SET progress = hex(zeroblob(8388608))"},
      {"an entry", "UPDATE entries SET body = CAST(hex(zeroblob(8388608)) AS BLOB)"}};
  const auto whole = temporary_->path() / "whole";
  fs::copy(dir(), whole, fs::copy_options::recursive);
  for (const auto& [what, sql] : cases) {
    SCOPED_TRACE(what);
    edit_without_bounds(sql);
    const auto refused = open_ledger(dir());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Errc::ledger_corrupt) << refused.error().to_string();
    const auto damaged = open_damaged_ledger(dir(), refused.error(), {});
    ASSERT_TRUE(damaged) << damaged.error().to_string();
    EXPECT_EQ((*damaged)->generations()->size(), 4U);
    EXPECT_TRUE((*damaged)->progress());
    fs::remove_all(dir());
    fs::copy(whole, dir(), fs::copy_options::recursive);
  }
}

}  // namespace
}  // namespace holdfast::deploy::ledger
