#include "common/base/error.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <string>

#include "common/base/result.hpp"

namespace holdfast {
namespace {

TEST(Errc, HasOneStableCodeEach) {
  std::set<std::string_view> codes;
  for (std::size_t i = 0; i < kErrcCount; ++i) {
    const auto value = static_cast<Errc>(i);
    EXPECT_TRUE(code(value).starts_with("E_"));
    EXPECT_TRUE(codes.insert(code(value)).second) << code(value);
    EXPECT_EQ(errc_from_code(code(value)), value);
  }
  EXPECT_FALSE(errc_from_code("E_UNKNOWN"));
  EXPECT_FALSE(errc_from_code(""));
}

TEST(Disposition, StopsOnlyForABrokenLedger) {
  for (std::size_t i = 0; i < kErrcCount; ++i) {
    const auto value = static_cast<Errc>(i);
    const bool ledger = value == Errc::ledger_corrupt || value == Errc::ledger_truncated;
    EXPECT_EQ(disposition(value) == Disposition::stop, ledger) << code(value);
  }
  EXPECT_EQ(disposition(Errc::unreachable), Disposition::retry);
  EXPECT_EQ(disposition(Errc::digest_mismatch), Disposition::reject);
}

TEST(Error, GrowsFromTheInsideOutAndKeepsTheInnermostHint) {
  const auto error = Error{Errc::unreachable, "connection refused"}
                         .hint("start the registry")
                         .in("fetch manifest")
                         .hint("something vaguer")
                         .in("pull web");
  EXPECT_EQ(error.what(), "pull web: fetch manifest: connection refused");
  EXPECT_EQ(error.next_step(), "start the registry");
  EXPECT_EQ(
      error.to_string(),
      "E_UNREACHABLE: pull web: fetch manifest: connection refused (next: start the registry)");
  EXPECT_EQ((Error{Errc::io, "x"}.to_string()), "E_IO: x");
}

TEST(Error, MapsErrnoToWhatTheCallerWillDo) {
  EXPECT_EQ(errc_from_errno(ENOSPC), Errc::nospace);
  EXPECT_EQ(errc_from_errno(EDQUOT), Errc::nospace);
  EXPECT_EQ(errc_from_errno(EACCES), Errc::perm);
  EXPECT_EQ(errc_from_errno(ENOENT), Errc::not_found);
  EXPECT_EQ(errc_from_errno(EADDRINUSE), Errc::port_in_use);
  EXPECT_EQ(errc_from_errno(EIO), Errc::io);
  EXPECT_EQ(errno_error(ENOENT, "open /x").what(), "open /x: No such file or directory");
}

Result<int> half(int number) {
  if (number % 2 != 0) return Error{Errc::usage, "odd"};
  return number / 2;
}

Result<int> quarter(int number) {
  HF_ASSIGN(const int once, half(number));
  HF_ASSIGN(const int twice, half(once));
  return twice;
}

Status even(int number) {
  HF_TRY(half(number));
  return ok();
}

TEST(Result, PassesValuesAndErrorsOn) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_EQ(quarter(6).error().what(), "odd");
  EXPECT_TRUE(even(2));
  EXPECT_FALSE(even(3));
}

TEST(ResultDeathTest, ReadingTheAbsentSideAborts) {
  EXPECT_DEATH((void)*half(3), "odd");
  EXPECT_DEATH((void)half(2).error(), "holds a value");
}

}  // namespace
}  // namespace holdfast
