#include <gtest/gtest.h>

#include "agent/cli/client/sse.hpp"
#include "agent/cli/render/json_text.hpp"
#include "agent/cli/render/look.hpp"
#include "agent/cli/render/suggest.hpp"
#include "agent/cli/render/table.hpp"
#include "agent/cli/render/when.hpp"
#include "proto/json/writer.hpp"
#include "tests/unit/agent/cli/look.hpp"

namespace holdfast::agent::cli {
namespace {

using namespace std::chrono_literals;

Look terminal(std::size_t width) {
  return {.terminal = true, .colour = false, .utf8 = true, .width = width};
}

TEST(Table, AlignsColumnsAndDropsTrailingBlanks) {
  Table table{{{"NAME"}, {"N", Align::right}, {"TEXT"}}};
  table.add({{"web"}, {"7"}, {""}});
  table.add({{"a"}, {"1200"}, {"x"}});
  EXPECT_EQ(table.render({}), "NAME     N  TEXT\nweb      7\na     1200  x\n");
}

TEST(Table, CutsTheLastColumnOnATerminalAndNeverInAPipe) {
  Table table{{{"NAME"}, {"TEXT"}}};
  table.add({{"web"}, {std::string(100, 'x')}});
  EXPECT_EQ(table.render(terminal(40)), "NAME  TEXT\nweb   " + std::string(33, 'x') + "…\n");
  EXPECT_NE(table.render({}).find(std::string(100, 'x')), std::string::npos);
}

TEST(Table, CountsColumnsOfWideAndCombiningCharacters) {
  Table table{{{"A"}, {"B"}}};
  table.add({{"日本"}, {"x"}});
  table.add({{"e\xCC\x81"}, {"y"}});
  EXPECT_EQ(table.render({}), "A     B\n日本  x\ne\xCC\x81     y\n");
}

TEST(Table, NeverLetsTextFromOutsideMoveTheCursor) {
  Table table{{{"A"}}};
  table.add({{"\x1b[2Jgone\r\xC2\x9b!"}});
  EXPECT_EQ(table.render({}), "A\n\\x1b[2Jgone\\x0d\\x9b!\n");
}

TEST(LookTest, PaintsOnlyWhenColoursAreWanted) {
  EXPECT_EQ(paint("x", Tone::act, {}), "x");
  EXPECT_EQ(paint("x", Tone::act, {.colour = true}), "\x1b[31mx\x1b[0m");
  EXPECT_EQ(mark(Mark::bad, {.utf8 = false}), "fail");
}

TEST(LookTest, ShortensWholeDigestsOnly) {
  EXPECT_EQ(shorten_digests("a@sha256:" + std::string(64, 'b') + ", c"), "a@bbbbbbbbbbbb, c");
  EXPECT_EQ(shorten_digests("sha256:abc"), "sha256:abc");
  EXPECT_EQ(short_digest("sha256:" + std::string(64, 'c')), "cccccccccccc");
  EXPECT_EQ(short_digest(""), "-");
}

TEST(When, SaysAgesInOneUnit) {
  EXPECT_EQ(age("2026-11-23T11:59:48Z", kNow), "12s");
  EXPECT_EQ(age("2026-11-23T11:57:00Z", kNow), "3m");
  EXPECT_EQ(age("2026-11-22T11:57:00Z", kNow), "24h");
  EXPECT_EQ(age("2026-11-11T12:00:00Z", kNow), "12d");
  EXPECT_EQ(age("", kNow), "-");
  EXPECT_EQ(ago("2026-11-23T12:00:00Z", kNow), "now");
  EXPECT_EQ(ago("2026-11-23T10:00:00Z", kNow), "2h ago");
}

TEST(When, ReadsSpansAndTimes) {
  EXPECT_EQ(*parse_span("90s"), 90s);
  EXPECT_EQ(*parse_span("1h30m"), 90min);
  EXPECT_EQ(*parse_span("250ms"), 250ms);
  EXPECT_EQ(*parse_span("5"), 5s);
  for (const char* bad : {"", "x", "5y", "-1s", "1h5", "s", "99999999999999999999s"})
    EXPECT_FALSE(parse_span(bad)) << bad;
  EXPECT_EQ(*parse_since("1h", kNow), kNow - 1h);
  EXPECT_EQ(*parse_since("2026-11-23T09:00:00Z", kNow), kNow - 3h);
  EXPECT_FALSE(parse_since("yesterday", kNow));
}

TEST(Sse, ReadsEventsFromPiecesOfAnySize) {
  const std::string stream =
      ": hello\n\nid: 7\nevent: phase\ndata: {\"a\":1}\n\nid: 8\r\ndata: x\r\ndata: y\r\n\r\n";
  for (std::size_t size = 1; size <= stream.size(); ++size) {
    SseParser parser;
    std::vector<ServerEvent> all;
    for (std::size_t at = 0; at < stream.size(); at += size) {
      auto some = parser.feed(std::string_view{stream}.substr(at, size));
      ASSERT_TRUE(some);
      all.insert(all.end(), some->begin(), some->end());
    }
    ASSERT_EQ(all.size(), 2U) << size;
    EXPECT_EQ(all[0], (ServerEvent{"7", "phase", "{\"a\":1}"}));
    EXPECT_EQ(all[1], (ServerEvent{"8", "message", "x\ny"}));
  }
}

TEST(Sse, RefusesALineThatNeverEnds) {
  SseParser parser;
  EXPECT_FALSE(parser.feed("data: " + std::string(5U << 20, 'x')));
  LineParser lines;
  EXPECT_FALSE(lines.feed(std::string(5U << 20, 'x')));
}

TEST(Lines, KeepsWhatHasNoEndYet) {
  LineParser lines;
  EXPECT_EQ(*lines.feed("a\nb"), std::vector<std::string>{"a"});
  EXPECT_EQ(*lines.feed("c\n\n"), (std::vector<std::string>{"bc", ""}));
  EXPECT_EQ(lines.rest(), "");
}

TEST(JsonText, IndentsAndKeepsTheOrderOfMembers) {
  EXPECT_EQ(*pretty_json(R"({"b":1,"a":[true,null,1.5],"c":{},"d":[]})"),
            "{\n  \"b\": 1,\n  \"a\": [\n    true,\n    null,\n    1.5\n  ],\n  \"c\": {},\n  "
            "\"d\": []\n}\n");
  EXPECT_EQ(*json_line(R"( {"a" : [1, 2]} )"), "{\"a\":[1,2]}\n");
  EXPECT_FALSE(pretty_json("{"));
}

TEST(JsonText, EscapesWhatATerminalWouldObey) {
  EXPECT_EQ(*json_line("\"\\u001b[2J\xE2\x80\xAE\xC2\x9b\xC3\xA9\""),
            "\"\\u001b[2J\\u202e\\u009bé\"\n");
  EXPECT_EQ(*json_line("\"a\xFF\""), "\"a\\ufffd\"\n");
  EXPECT_EQ(proto::json::quote_safely("a\"\\\n"), "\"a\\\"\\\\\\n\"");
}

TEST(Suggest, KnowsTheWordsOfOtherToolsAndSlips) {
  const std::vector<std::string> commands{"apply", "rollback", "status", "history"};
  EXPECT_EQ(unknown_command("holdfast", {"status"}, commands), "");
  EXPECT_EQ(unknown_command("holdfast", {"--help"}, commands), "");
  EXPECT_NE(unknown_command("holdfast", {"-o", "json", "undo"}, commands)
                .find("did you mean: holdfast rollback"),
            std::string::npos);
  EXPECT_NE(unknown_command("holdfast", {"up", "x.yaml"}, commands).find("holdfast apply"),
            std::string::npos);
  EXPECT_NE(unknown_command("holdfast", {"ps"}, commands).find("holdfast status"),
            std::string::npos);
  EXPECT_NE(unknown_command("holdfast", {"hsitory"}, commands).find("holdfast history"),
            std::string::npos);
  EXPECT_EQ(unknown_command("holdfast", {"xyzzy"}, commands).find("did you mean"),
            std::string::npos);
  EXPECT_EQ(unknown_command("holdfast ledger", {"verfy"}, {"head", "verify"}),
            "error: there is no command \"ledger verfy\"\n  did you mean: holdfast ledger verify\n"
            "  next: holdfast ledger --help\n");
  EXPECT_EQ(unknown_command("holdfast standby", {"undo"}, {"list", "drop"}).find("did you mean"),
            std::string::npos)
      << "an alias for a command of the first level only";
}

}  // namespace
}  // namespace holdfast::agent::cli
