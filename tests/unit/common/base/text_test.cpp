#include "common/base/text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

namespace holdfast {
namespace {

using testing::ElementsAre;
using namespace std::chrono_literals;

TEST(Printable, LeavesReadableTextAlone) {
  for (const std::string text : {"", "plain", "tab-less é € 😀", "a\"b\\c", "中文"})
    EXPECT_EQ(printable(text), text);
}

TEST(Printable, EscapesWhatMovesATerminalOrReordersText) {
  EXPECT_EQ(printable("a\x1b[31mb"), "a\\x1b[31mb");
  EXPECT_EQ(printable("a\r\n\tb"), "a\\x0d\\x0a\\x09b");
  EXPECT_EQ(printable("\x7f"), "\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"), "\\x9b");
  EXPECT_EQ(printable("\xe2\x80\xae"), "\\u{202e}");
  EXPECT_EQ(printable("\xe2\x81\xa6"), "\\u{2066}");
  EXPECT_EQ(printable("\xef\xbb\xbf"), "\\u{feff}");
  EXPECT_EQ(printable("\xf0\x9b\xb2\xa0"), "\\u{1bca0}");
  EXPECT_EQ(printable("\xf0\x9d\x85\xb3"), "\\u{1d173}");
  EXPECT_EQ(printable("\xd8\x9c"), "\\u{61c}");
  EXPECT_EQ(printable("\xf3\xa0\x81\x81"), "\\u{e0041}");
  EXPECT_EQ(printable("\xe3\x85\xa4"), "\\u{3164}") << "looks like a space";
  EXPECT_EQ(printable("\xe2\xa0\x80"), "\\u{2800}");
  EXPECT_EQ(printable("\xe2\x9c\x94\xef\xb8\x8f"), "\xe2\x9c\x94\xef\xb8\x8f") << "an emoji";
  EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\\x00b");
}

TEST(Printable, EscapesBytesThatAreNotUtf8) {
  EXPECT_EQ(printable("\x9b"), "\\x9b");
  EXPECT_EQ(printable("\xff"), "\\xff");
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf");
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");
  EXPECT_EQ(printable("\xe2\x82"), "\\xe2\\x82");
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
}

TEST(Nearest, FindsTheSlipAndNothingFarther) {
  constexpr std::array<std::string_view, 4> kWords{"services", "serial", "name", "health"};
  EXPECT_EQ(nearest("servces", kWords), "services");
  EXPECT_EQ(nearest("nam", kWords), "name");
  EXPECT_EQ(nearest("helth", kWords), "health");
  EXPECT_EQ(nearest("volumes", kWords), "");
  EXPECT_EQ(nearest("", kWords), "");
  EXPECT_EQ(nearest("x", {}), "");
}

TEST(Encodings, AreThoseOfTheStandards) {
  const auto bytes = [](std::string_view text) { return std::as_bytes(std::span{text}); };
  EXPECT_EQ(to_hex(bytes(std::string_view("\x00\xff\x10", 3))), "00ff10");
  EXPECT_EQ(to_base64(bytes("")), "");  // RFC 4648 part 10
  EXPECT_EQ(to_base64(bytes("f")), "Zg==");
  EXPECT_EQ(to_base64(bytes("fo")), "Zm8=");
  EXPECT_EQ(to_base64(bytes("foo")), "Zm9v");
  EXPECT_EQ(to_base64(bytes("foob")), "Zm9vYg==");
  EXPECT_EQ(to_base64(bytes("fooba")), "Zm9vYmE=");
  EXPECT_EQ(to_base64(bytes("foobar")), "Zm9vYmFy");
}

TEST(HumanBytes, UsesBinaryUnits) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1024), "1.0 KiB");
  EXPECT_EQ(human_bytes(7'759'462), "7.4 MiB");
  EXPECT_EQ(human_bytes(UINT64_MAX), "16777216.0 TiB");
}

TEST(HumanDuration, UsesAtMostTwoUnits) {
  EXPECT_EQ(human_duration(850ms), "850ms");
  EXPECT_EQ(human_duration(12s), "12s");
  EXPECT_EQ(human_duration(200s), "3m20s");
  EXPECT_EQ(human_duration(180s), "3m");
  EXPECT_EQ(human_duration(5h + 12min + 9s), "5h12m");
  EXPECT_EQ(human_duration(24h * 12), "12d");
}

TEST(Split, KeepsEmptyParts) {
  EXPECT_THAT(split("a,,b,", ','), ElementsAre("a", "", "b", ""));
  EXPECT_THAT(split("", ','), ElementsAre(""));
}

TEST(Trim, TakesBlanksFromBothEnds) {
  EXPECT_EQ(trim(" \t a b\r\n"), "a b");
  EXPECT_EQ(trim(" \n"), "");
}

TEST(ParseNumber, TakesDecimalDigitsOnly) {
  EXPECT_EQ(*parse_number("18446744073709551615"), UINT64_MAX);
  for (const std::string_view text :
       {"", " 1", "1 ", "+1", "-1", "0x1", "1.0", "18446744073709551616"})
    EXPECT_FALSE(parse_number(text)) << text;
}

}  // namespace
}  // namespace holdfast
