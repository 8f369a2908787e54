#include "proto/json/writer.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <limits>

#include "common/base/text.hpp"

namespace holdfast::proto::json {
namespace {

TEST(JsonWriter, WritesOnOneLineOrIndented) {
  const auto written = [](Layout layout) {
    Writer out{layout};
    out.begin_object().key("a").value(1).key("b").begin_array().value("x").null().end_array();
    out.key("c").begin_object().end_object().key("d").begin_array().end_array();
    out.key("e").raw("{}").key("f").value(true).end_object();
    return std::move(out).take();
  };
  EXPECT_EQ(written(Layout::one_line), R"({"a":1,"b":["x",null],"c":{},"d":[],"e":{},"f":true})");
  EXPECT_EQ(written(Layout::indented),
            "{\n  \"a\": 1,\n  \"b\": [\n    \"x\",\n    null\n  ],\n  \"c\": {},\n  \"d\": [],\n"
            "  \"e\": {},\n  \"f\": true\n}");
}

TEST(JsonWriter, WritesNumbersPlainly) {
  Writer out;
  out.begin_array().value(1.5).value(0.1).value(std::numeric_limits<double>::infinity());
  out.value(std::numeric_limits<std::uint64_t>::max()).value(std::int64_t{-3}).end_array();
  EXPECT_EQ(std::move(out).take(), "[1.5,0.1,null,18446744073709551615,-3]");
}

TEST(JsonWriter, LetsNothingHostileThrough) {
  EXPECT_EQ(quote_safely("q\"\\\n\t\r\x1b[2J\x7f"), R"("q\"\\\n\t\u000d\u001b[2J\u007f")");
  EXPECT_EQ(quote_safely("\xC2\x9B\xE2\x80\xAE\xC3\xA9"), "\"\\u009b\\u202e\xC3\xA9\"");
  EXPECT_EQ(quote_safely("\xF3\xA0\x81\x81"), R"("\udb40\udc41")") << "U+E0041";
  EXPECT_EQ(quote_safely("a\xFF"
                         "b\xE2\x82"),
            R"("a\ufffdb\ufffd\ufffd")");
}

/// Whatever the bytes, it reads back as the same text made well formed, and nothing of it could
/// move a cursor.
TEST(JsonWriter, ReadsBackAsWhatItWas) {
  std::uint64_t seed = 7;
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (int i = 0; i < round % 12; ++i) {
      seed = seed * 6364136223846793005U + 1442695040888963407U;
      constexpr std::string_view kStarts = "\xC2\xE2\x80\xAE\xF0\x9F\x98\x80\xF3\xA0\x81\"\\\n";
      text += (seed >> 60U) < 9 ? kStarts[(seed >> 33U) % kStarts.size()]
                                : static_cast<char>(seed >> 40U);
    }
    const auto written = quote_safely(text);
    const auto read = boost::json::parse(written);
    EXPECT_EQ(std::string_view{read.as_string()}, well_formed(text)) << written;
    EXPECT_EQ(printable(written), written);
  }
}

}  // namespace
}  // namespace holdfast::proto::json
