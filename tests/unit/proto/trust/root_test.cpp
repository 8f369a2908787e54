#include "proto/trust/root.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/signer.hpp"

namespace holdfast::proto::trust {
namespace {

using testing::HasSubstr;

Root a_root() {
  const test::Signer a, b, c{crypto::SignatureAlgorithm::ecdsa_p256};
  return {.deployment = "shop",
          .version = 3,
          .expires = *parse_rfc3339("2027-11-30T00:00:00Z"),
          .root = {{a.key(), b.key()}, 2},
          .signers = {{c.key(), a.key()}, 1}};
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Root, IsWrittenAndReadAgain) {
  const auto root = a_root();
  const auto read = read_root(write_root(root));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(*read, root);
}

TEST(Root, RefusesWhateverIsMissingUnknownOrOutOfBounds) {
  auto root = a_root();
  const auto text = write_root(root);
  struct Case {
    std::string text;
    const char* says;
  };
  const Case cases[] = {
      {"[]", "no object"},
      {"", "not valid JSON"},
      {replaced(text, "\"deployment\": \"shop\",", ""), "has no \"deployment\""},
      {replaced(text, "\"shop\"", "\"Shop\""), "no name"},
      {replaced(text, "\"shop\"", "1"), "no text"},
      {replaced(text, "\"version\": 3", "\"version\": 0"), "\"version\" is no number"},
      {replaced(text, "\"version\": 3", "\"version\": -1"), "\"version\" is no number"},
      {replaced(text, "\"version\": 3", "\"version\": 3.0"), "\"version\" is no number"},
      {replaced(text, "\"version\": 3", "\"version\": 2147483649"), "\"version\" is no number"},
      {replaced(text, "\"version\": 3", "\"version\": \"3\""), "\"version\" is no number"},
      {replaced(text, "\"version\": 3", "\"version\": 3, \"more\": 1"), "more than its members"},
      {replaced(text, "\"version\": 3", "\"version\": 3, \"version\": 3"), "duplicate key"},
      {replaced(text, "2027-11-30", "someday"), "\"expires\""},
      {replaced(text, "\"threshold\": 2", "\"threshold\": 3"), "threshold"},
      {replaced(text, "\"threshold\": 2", "\"threshold\": 0"), "threshold"},
      {replaced(text, "\"threshold\": 2,", ""), "has no \"threshold\""},
      {replaced(text, "\"root\": {", "\"root\": [], \"x\": {"), "more than its members"},
      {replaced(text, "BEGIN PUBLIC", "BEGIN PRIVATE"), "no public key"},
      {R"({"deployment":"a","version":1,"expires":"2027-11-30T00:00:00Z","roles":[]})",
       "no object"},
      {R"({"deployment":"a","version":1,"expires":"2027-11-30T00:00:00Z","roles":{"root":{"threshold":1,"keys":[]},"deployment":{}}})",
       "1 to 32 keys"},
      {R"({"deployment":"a","version":1,"expires":"2027-11-30T00:00:00Z","roles":{"root":{"threshold":1,"keys":[1]},"deployment":{}}})",
       "no text"},
  };
  for (const auto& [bad, says] : cases) {
    const auto read = read_root(bad);
    ASSERT_FALSE(read) << bad;
    EXPECT_EQ(read.error().code(), Errc::spec_parse) << bad;
    EXPECT_THAT(read.error().what(), HasSubstr(says)) << bad;
  }
  EXPECT_EQ(read_root(std::string(kMostRootBytes + 1, ' ')).error().code(), Errc::too_large);
}

TEST(Root, CountsAKeyOnce) {
  auto root = a_root();
  root.root.keys = {root.root.keys[0], root.root.keys[0]};
  EXPECT_THAT(read_root(write_root(root)).error().what(), HasSubstr("twice"));
}

TEST(Root, HoldsThirtyTwoKeysAndNotOneMore) {
  auto root = a_root();
  while (root.root.keys.size() < kMostKeys) root.root.keys.push_back(test::Signer{}.key());
  EXPECT_TRUE(read_root(write_root(root)));
  root.root.keys.push_back(test::Signer{}.key());
  EXPECT_THAT(read_root(write_root(root)).error().what(), HasSubstr("1 to 32 keys"));
}

}  // namespace
}  // namespace holdfast::proto::trust
