#include "proto/yaml/scalars.hpp"

#include <gtest/gtest.h>

namespace holdfast::proto::yaml {
namespace {

TEST(OtherType, KnowsWhatEveryYamlReaderWouldNotCallAString) {
  for (const std::string_view text : {"true", "False", "NO", "yes", "On", "OFF"})
    EXPECT_EQ(other_type(text), "a boolean") << text;
  for (const std::string_view text :
       {"0",     "8080", "-1",    "+7",      "0777",  "0o17",        "0x1F",     "0b101",
        "1_000", "1.5",  "1.",    ".5",      "1e3",   "1E-3",        "6.02e+23", ".inf",
        "-.Inf", ".NaN", "22:30", "1:30:00", "22:22", "190:20:30.15"})
    EXPECT_EQ(other_type(text), "a number") << text;
  for (const std::string_view text :
       {"2026-12-01", "2026-12-01T00:00:00Z", "2001-1-2 10:00:00", "2026-12-01t1:2:3.4+01:00"})
    EXPECT_EQ(other_type(text), "a time") << text;
}

TEST(OtherType, LeavesStringsAlone) {
  for (const std::string_view text : {"",      "info",  "tRue",    "yess",
                                      "nope",  "1.2.3", "80:8080", "127.0.0.1:80:80",
                                      "256Mi", "10s",   "0x",      "0b2x",
                                      "0o8",   "v1",    "1-2",     "a:b",
                                      "--",    "-",     "+",       ".",
                                      "e5",    "_1",    "12:60",   ":30",
                                      "1e",    "1e+",   "2026-12", "2026-12-01-02",
                                      "nul",   "/tmp",  "0.0.0.0"})
    EXPECT_EQ(other_type(text), "") << text;
}

TEST(Duration, ReadsWholeNumbersWithUnits) {
  EXPECT_EQ(parse_duration("500ms"), Milliseconds{500});
  EXPECT_EQ(parse_duration("10s"), Milliseconds{10'000});
  EXPECT_EQ(parse_duration("1m30s"), Milliseconds{90'000});
  EXPECT_EQ(parse_duration("2h"), Milliseconds{7'200'000});
  EXPECT_EQ(parse_duration("1h1m1s1ms"), Milliseconds{3'661'001});
  EXPECT_EQ(parse_duration("0s"), Milliseconds{0});
  EXPECT_EQ(parse_duration("8760h"), Milliseconds{31'536'000'000});
}

TEST(Duration, RefusesEverythingElse) {
  for (const std::string_view text : {"",
                                      "10",
                                      "s",
                                      "-1s",
                                      "+1s",
                                      "1.5s",
                                      "1 s",
                                      " 1s",
                                      "1s ",
                                      "1S",
                                      "1sec",
                                      "1d",
                                      "30s1m",
                                      "1s1s",
                                      "1ms1s",
                                      "8761h",
                                      "999999999999999s",
                                      "99999999999ms99",
                                      "1h-1m",
                                      "ms"})
    EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(Size, ReadsBinaryUnitsAndBytes) {
  EXPECT_EQ(parse_size("0"), Bytes{0});
  EXPECT_EQ(parse_size("268435456"), Bytes{268435456});
  EXPECT_EQ(parse_size("64Ki"), Bytes{65536});
  EXPECT_EQ(parse_size("256Mi"), Bytes{256U << 20});
  EXPECT_EQ(parse_size("256MiB"), Bytes{256U << 20});
  EXPECT_EQ(parse_size("8Gi"), Bytes{8ULL << 30});
  EXPECT_EQ(parse_size("2Ti"), Bytes{2ULL << 40});
}

TEST(Size, RefusesEverythingElse) {
  for (const std::string_view text :
       {"", "Mi", "-1", "1.5Gi", "256M", "256MB", "256m", "256k", "256mi", "1 Mi", "1Mib", "1MiBs",
        "01Mi", "1Pi", "99999999999Gi", "18446744073709551616", "0x10"})
    EXPECT_FALSE(parse_size(text)) << text;
}

TEST(Millis, ReadsUpToThreeDecimals) {
  EXPECT_EQ(parse_millis("1"), 1000U);
  EXPECT_EQ(parse_millis("1.5"), 1500U);
  EXPECT_EQ(parse_millis("0.125"), 125U);
  for (const std::string_view text :
       {"", "1.", ".5", "-1", "1.2345", "1e3", "1,5", "01", "9999999"})
    EXPECT_FALSE(parse_millis(text)) << text;
}

}  // namespace
}  // namespace holdfast::proto::yaml
