#include "proto/yaml/tree.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "common/base/clock.hpp"

namespace holdfast::proto::yaml {
namespace {

using testing::HasSubstr;

struct Reading {
  std::optional<Node> root;
  std::vector<Finding> findings;
  std::string text;
};

Reading read_all(std::string_view text) {
  Findings findings;
  Reading result{read(text, findings), {}, {}};
  result.findings = findings.sorted();
  for (const auto& f : result.findings)
    result.text +=
        std::to_string(f.mark.line) + ":" + std::to_string(f.mark.column) + ": " + f.message + "\n";
  return result;
}

std::string faults(std::string_view text) { return read_all(text).text; }

TEST(YamlTree, KnowsThePlaceOfEveryValue) {
  const auto reading = read_all("a: 1\nb:\n  - x\n  - {c: 'd'}\n");
  ASSERT_EQ(reading.text, "");
  const auto& root = *reading.root;
  ASSERT_EQ(root.members.size(), 2U);
  EXPECT_EQ(root.members[1].key, "b");
  EXPECT_EQ(root.members[1].mark, (Mark{2, 1}));
  const auto& inner = root.members[1].value.items[1].members[0];
  EXPECT_EQ(inner.mark, (Mark{4, 6}));
  EXPECT_EQ(inner.value.mark, (Mark{4, 9}));
}

TEST(YamlTree, TellsPlainFromQuotedText) {
  const auto reading = read_all("[8080, \"8080\", '8080', |\n  8080\n]");
  const auto plain = read_all("a: 8080\nb: \"8080\"\nc: '8080'\nd: |\n  8080\n");
  ASSERT_EQ(plain.text, "");
  EXPECT_EQ(plain.root->members[0].value.style, Style::plain);
  for (int i = 1; i < 4; ++i)
    EXPECT_EQ(plain.root->members[static_cast<std::size_t>(i)].value.style, Style::quoted);
}

TEST(YamlTree, ReportsAnAbsentValueAtItsKey) {
  const auto reading = read_all("a:\nb: 1\n");
  ASSERT_TRUE(reading.root);
  EXPECT_EQ(reading.root->members[0].value.kind, Kind::null);
  EXPECT_EQ(reading.root->members[0].value.mark, (Mark{1, 1}));
}

TEST(YamlTree, RefusesWhatTheSubsetLeavesOut) {
  EXPECT_THAT(faults("a: &x 1\n"), HasSubstr("1:4: anchors are not allowed"));
  EXPECT_THAT(faults("a: &x 1\nb: *x\n"), HasSubstr("2:4: aliases are not allowed"));
  EXPECT_THAT(faults("a: *x\n"), HasSubstr("1:4: not valid YAML"));
  EXPECT_THAT(faults("a:\n  b: 1\n  <<: {c: 1}\n"), HasSubstr("3:3: merge keys are not allowed"));
  EXPECT_THAT(faults("a: !!python/object x\n"),
              HasSubstr("1:4: tag \"tag:yaml.org,2002:python/object\" is not allowed"));
  EXPECT_THAT(faults("a: !!str 5\n"), HasSubstr("1:4: tag"));
  EXPECT_THAT(faults("a: ! 5\n"), HasSubstr("1:4: tag \"!\" is not allowed"));
  EXPECT_THAT(faults("a: !x {b: 1}\n"), HasSubstr("1:4: tag"));
  EXPECT_THAT(faults("a: 1\nb: 2\na: 3\n"),
              HasSubstr("3:1: duplicate key \"a\" (first at line 1)"));
  EXPECT_THAT(faults("a: {b: 1, \"b\": 2}\n"), HasSubstr("1:11: duplicate key \"b\""));
  EXPECT_THAT(faults("a: 1\n---\nb: 2\n"), HasSubstr("2:1: only one document per file"));
  EXPECT_THAT(faults("a: 1\n...\nb: 2\n"), HasSubstr("only one document per file"));
  EXPECT_THAT(faults("? [a, b]\n: 1\n"), HasSubstr("1:3: mapping keys must be plain strings"));
  EXPECT_THAT(faults("~: 1\n"), HasSubstr("1:1: mapping keys must be plain strings"));
  EXPECT_THAT(faults(""), HasSubstr("the document is empty"));
  EXPECT_THAT(faults("# only a comment\n"), HasSubstr("the document is empty"));
}

TEST(YamlTree, GoesOnAfterAFaultAndReportsAllInOrder) {
  EXPECT_EQ(faults("b: &x 1\na: !t 2\nb: 3\nc: *x\n"),
            "1:4: anchors are not allowed\n2:4: tag \"!t\" is not allowed\n"
            "3:1: duplicate key \"b\" (first at line 1)\n4:4: aliases are not allowed\n");
}

TEST(YamlTree, RefusesAStringThatTheParserWouldCloseAtTheEndOfTheFile) {
  EXPECT_THAT(faults("a: 1\nb: \"x\n"), HasSubstr("2:4: this string is never closed"));
  EXPECT_THAT(faults("b: 'it''s\n"), HasSubstr("1:4: this string is never closed"));
  EXPECT_THAT(faults("b: \"x\\\"\n"), HasSubstr("1:4: this string is never closed"));
  EXPECT_EQ(faults("b: \"x\\\"\"\nc: 'it''s'\nd: |\n  \"\n"), "");
}

TEST(YamlTree, SaysThatTabsDoNotIndent) {
  const auto reading = read_all("a:\n  b: 1\n\tc: 2\n");
  ASSERT_EQ(reading.findings.size(), 1U);
  EXPECT_EQ(reading.findings[0].mark.line, 3U);
  EXPECT_EQ(reading.findings[0].hint, "indent with spaces, not tabs");
  EXPECT_FALSE(read_all("a:\n\tb: 1\n").text.empty());
}

TEST(YamlTree, RefusesOtherEncodingsAndHiddenCharacters) {
  EXPECT_THAT(faults("\xEF\xBB\xBF"
                     "a: 1"),
              HasSubstr("1:1: the document starts with a byte order mark"));
  EXPECT_THAT(faults("\xFF\xFE"
                     "a\0:\0"),
              HasSubstr("1:1: the document is not UTF-8"));
  EXPECT_THAT(faults(std::string_view("\0a\0:\0 \0b", 8)), HasSubstr("not UTF-8"));
  EXPECT_THAT(faults(std::string_view("a\0\0\0:\0\0\0", 8)), HasSubstr("not UTF-8"));
  EXPECT_THAT(faults("a: 1\nb: x\xFFy\n"), HasSubstr("2:5: the text is not valid UTF-8"));
  EXPECT_THAT(faults("a: \xC0\xAF\n"), HasSubstr("1:4: the text is not valid UTF-8"));
  EXPECT_THAT(faults("a: \xED\xA0\x80\n"), HasSubstr("1:4: the text is not valid UTF-8"));
  EXPECT_THAT(faults("a: \x1b[31mred\n"), HasSubstr("1:4: the character U+001B is not allowed"));
  EXPECT_THAT(faults("a: x\xE2\x80\xAEy\n"), HasSubstr("1:5: the character U+202E is not allowed"));
  EXPECT_THAT(faults("a: \xC2\x9b\n"), HasSubstr("U+009B"));
  EXPECT_THAT(faults(std::string_view("a: 1234 \0", 9)), HasSubstr("U+0000"));
  EXPECT_EQ(faults("a: \"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"\n"), "");
}

TEST(YamlTree, SurvivesNestingWithoutEnd) {
  for (const std::string_view open : {"[", "{", "- ", "? ", "{a: ", "[[", "a: [", "{a: {"}) {
    std::string text;
    for (int i = 0; i < 20'000; ++i) text += open;
    EXPECT_FALSE(read_all(text).text.empty()) << open;
  }
  EXPECT_THAT(faults(std::string(200'000, '[')), HasSubstr("nested too deeply"));
  EXPECT_EQ(faults(std::string(32, '[') + std::string(32, ']')), "");
  EXPECT_THAT(faults(std::string(33, '[') + std::string(33, ']')), HasSubstr("nested too deeply"));
}

TEST(YamlTree, RefusesWhatWouldMakeTheParserReadFarAhead) {
  EXPECT_THAT(faults(std::string(kMaxOpenBrackets + 1, '[')), HasSubstr("256 brackets are open"));
  std::string lines;
  for (std::size_t i = 0; i <= kMaxOpenBrackets; ++i) lines += "{\n";
  EXPECT_THAT(faults(lines), HasSubstr("256 brackets are open"));
  std::string wide = "a: [";
  for (std::size_t i = 0; i < kMaxPunctuation; ++i) wide += "x,";
  EXPECT_THAT(faults(wide + "x]\n"), HasSubstr("on one line"));
  std::string text = "a: |\n";
  for (std::size_t i = 0; i < 2 * kMaxPunctuation; ++i) text += i % 1000 == 999 ? "\n" : "  x,";
  EXPECT_EQ(faults(text), "") << "many lines with much punctuation";
}

TEST(YamlTree, BoundsTheNumberOfKeysAndValues) {
  const auto list = [](std::size_t items) {
    std::string text = "a:\n";
    for (std::size_t i = 0; i < items; ++i) text += "- x\n";
    return text;
  };
  // The mapping, its key and the sequence are three.
  EXPECT_EQ(faults(list(kMaxNodes - 3)), "");
  EXPECT_THAT(faults(list(kMaxNodes - 2)), HasSubstr("more than 32768 keys and values"));
}

TEST(YamlTree, ACarriageReturnAloneIsNoLineEndToEverybody) {
  EXPECT_THAT(faults("a: b #\r    c: d\n"), HasSubstr("carriage return"));
  EXPECT_EQ(faults("a: b\r\nc: d\r\n"), "");
}

TEST(YamlTree, StopsABillionLaughsAtTheFirst) {
  std::string bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n";
  for (char c = 'b'; c <= 'i'; ++c) {
    const std::string before(1, static_cast<char>(c - 1));
    bomb += std::string(1, c) + ": &" + std::string(1, c) + " [";
    for (int i = 0; i < 9; ++i) bomb += (i == 0 ? "*" : ",*") + before;
    bomb += "]\n";
  }
  const SystemClock clock;
  const auto start = clock.boot();
  EXPECT_THAT(faults(bomb), HasSubstr("aliases are not allowed"));
  EXPECT_LT(clock.boot() - start, std::chrono::milliseconds{50});
}

TEST(YamlTree, LimitsTheSizeOfADocument) {
  EXPECT_EQ(faults("a: b\n" + std::string(kMaxBytes - 5, '#')), "");
  EXPECT_THAT(faults("a: b\n" + std::string(kMaxBytes - 4, '#')),
              HasSubstr("beyond the limit of 1.0 MiB"));
}

TEST(YamlTree, CountsFaultsItDoesNotShow) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "a: 1\n";
  const auto reading = read_all(text);
  EXPECT_EQ(reading.findings.size(), 1001U);
  EXPECT_EQ(reading.findings.back().message, "3999 more errors are not shown");
}

TEST(YamlTree, PrintsNoControlCharactersOfKeysAndTags) {
  EXPECT_EQ(faults("\"\\e[31m\": 1\n\"\\e[31m\": 2\n").find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace holdfast::proto::yaml
