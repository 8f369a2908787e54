#pragma once
/// \file
/// A ledger of four generations that somebody changes behind its back.

#include <gmock/gmock.h>

#include <string>

#include "common/os/process.hpp"
#include "tests/support/ledger_fixture.hpp"

namespace holdfast::deploy::ledger {

class Tamper : public test::LedgerTest {
 protected:
  void SetUp() override {
    LedgerTest::SetUp();
    auto ledger = open();
    for (std::uint64_t i = 1; i <= 4; ++i)
      ASSERT_TRUE(ledger->commit(test::accept(i, static_cast<char>('a' + i))));
  }

  void expect_refused(Errc code, const std::string& words) const {
    const auto ledger = open_ledger(dir());
    ASSERT_FALSE(ledger);
    EXPECT_EQ(ledger.error().code(), code) << ledger.error().to_string();
    EXPECT_THAT(ledger.error().what(), ::testing::HasSubstr(words));
    EXPECT_THAT(ledger.error().next_step(), ::testing::HasSubstr("holdfast ledger recover"));
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

  /// Values that `Db` itself would not write.
  void edit_without_bounds(const std::string& sql) const {
    os::RunOptions options;
    options.spawn.env = {os::kChildPath};
    options.spawn.argv = {"python3", "-c", R"(import sqlite3, sys
file = sqlite3.connect(sys.argv[1])
triggers = file.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
file.executescript(";".join([f"DROP TRIGGER {name}" for name, _ in triggers] + [sys.argv[2]] + [text for _, text in triggers] + [""]))
)",
                          (dir() / "ledger.db").string(), sql};
    options.timeout = std::chrono::seconds{60};
    const auto ran = os::run(options);
    ASSERT_TRUE(ran) << ran.error().to_string();
    ASSERT_TRUE(os::succeeded(ran->status)) << ran->err;
  }
};

}  // namespace holdfast::deploy::ledger
