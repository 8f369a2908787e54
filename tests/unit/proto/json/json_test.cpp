#include "proto/json/json.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>

#include "proto/json/canonical.hpp"

namespace holdfast::proto::json {
namespace {

std::string again(std::string_view text) {
  const auto value = parse(text, Errc::spec_parse);
  return value ? canonical(*value) : "error: " + value.error().what();
}

TEST(CanonicalJson, SortsKeysAndDropsWhiteSpace) {
  EXPECT_EQ(again(R"( {"b" : [1, -2, true, null], "a": {"z": "x", "Y": ""}} )"),
            R"({"a":{"Y":"","z":"x"},"b":[1,-2,true,null]})");
}

TEST(CanonicalJson, HasOneSpellingForEveryString) {
  EXPECT_EQ(again(R"(["\u0041\/\n\t\"\\\u00e9\ud83d\ude00"])"),
            "[\"A/\\u000a\\u0009\\\"\\\\\xC3\xA9\xF0\x9F\x98\x80\"]");
  EXPECT_EQ(again("[\"\\u007f\\u0085\\u202e\\u2066\\ufeff\\u2030\"]"),
            "[\"\\u007f\\u0085\\u202e\\u2066\\ufeff\xE2\x80\xB0\"]");
}

TEST(CanonicalJson, IsItsOwnCanonicalForm) {
  const auto once = again(R"({"a":["\u202e\u0000",{"k":18446744073709551615}],"":-5})");
  EXPECT_EQ(again(once), once);
}

TEST(CanonicalJson, LeavesEmptyObjectsOut) {
  Object outer;
  outer.set("none", Object{});
  outer.set("time", Milliseconds{1500});
  outer.set("size", Bytes{7});
  outer.set("flag", false);
  outer.set("text", "x");
  EXPECT_EQ(outer.str(), R"({"flag":false,"size":7,"text":"x","time":"1500ms"})");
}

TEST(StrictJson, RefusesDuplicateKeysDeepNestingAndTrailingText) {
  for (const std::string_view text :
       {R"({"a":1,"a":2})", R"({"a":{"b":1,"b":1}})", R"({"a":1,"\u0061":2})", R"({"":1,"":2})",
        "{} x", "", "nul", "{\"a\":\"\x80\"}", "[1,]", "/* c */ {}"})
    EXPECT_FALSE(parse(text, Errc::spec_parse)) << text;
  EXPECT_FALSE(parse(std::string(65, '[') + std::string(65, ']'), Errc::spec_parse));
  EXPECT_TRUE(parse(std::string(64, '[') + std::string(64, ']'), Errc::spec_parse));
  EXPECT_TRUE(parse(R"([{"a":1},{"a":2}])", Errc::spec_parse));
}

TEST(StrictJson, NamesTheDuplicateKey) {
  const auto value = parse(R"({"layers":1,"layers":2})", Errc::layer_corrupt);
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().code(), Errc::layer_corrupt);
  EXPECT_NE(value.error().what().find("duplicate key \"layers\""), std::string::npos);
}

}  // namespace
}  // namespace holdfast::proto::json
