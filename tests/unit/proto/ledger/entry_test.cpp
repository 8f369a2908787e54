#include "proto/ledger/entry.hpp"

#include <gtest/gtest.h>

#include <string>

namespace holdfast::proto {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');

Entry full_entry() {
  Entry entry;
  entry.kind = EntryKind::switched;
  entry.time = *parse_rfc3339("2026-11-23T09:24:15.123Z");
  entry.actor = "root (uid 0)";
  entry.reason = "say \"why\"\nin two lines";
  entry.generation = 7;
  entry.spec_digest = *Digest::parse(kDigest);
  entry.service = "web";
  entry.images_before = {{"web", "sha256:1"}};
  entry.images_after = {{"db", "sha256:3"}, {"web", "sha256:2"}};
  entry.detail = {{"took_ms", "4"}};
  return entry;
}

TEST(LedgerEntry, HasOneCanonicalTextWithSortedKeys) {
  const std::string expected =
      R"x({"actor":"root (uid 0)","detail":{"took_ms":"4"},"generation":7,)x"
      R"x("images_after":{"db":"sha256:3","web":"sha256:2"},"images_before":{"web":"sha256:1"},)x"
      R"x("kind":"switched","reason":"say \"why\"\u000ain two lines","service":"web",)x"
      R"x("spec_digest":")x" +
      kDigest + R"x(","time":"2026-11-23T09:24:15.123Z"})x";
  EXPECT_EQ(encode_entry(full_entry()), expected);
}

TEST(LedgerEntry, LeavesOutWhatIsEmpty) {
  EXPECT_EQ(encode_entry(Entry{}), R"({"kind":"agent_started","time":"1970-01-01T00:00:00.000Z"})");
}

TEST(LedgerEntry, IsReadBackAsItWasWritten) {
  const auto back = decode_entry(encode_entry(full_entry()));
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(*back, full_entry());
}

TEST(LedgerEntry, ReadsBackEveryKind) {
  for (int i = 0; i <= static_cast<int>(EntryKind::drained); ++i) {
    Entry entry;
    entry.kind = static_cast<EntryKind>(i);
    const auto back = decode_entry(encode_entry(entry));
    ASSERT_TRUE(back) << i;
    EXPECT_EQ(back->kind, entry.kind);
    EXPECT_EQ(entry_kind_from(to_string(entry.kind)), entry.kind);
  }
  EXPECT_FALSE(entry_kind_from("no_such_kind"));
}

TEST(LedgerEntry, StaysReadableWhenATextIsNotUtf8) {
  Entry entry;
  entry.reason = "bad \xFF byte";
  const auto back = decode_entry(encode_entry(entry));
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(back->reason, "bad \xEF\xBF\xBD byte");
}

TEST(LedgerEntry, RefusesWhatIsNoEntry) {
  for (const auto* text :
       {"", "[]", "{", R"({"kind":"nonsense","time":"1970-01-01T00:00:00Z"})", R"({"kind":"good"})",
        R"({"kind":"good","time":"1970-01-01T00:00:00Z","surprise":1})",
        R"({"kind":"good","time":"1970-01-01T00:00:00Z","generation":"x"})",
        R"({"kind":"good","time":"1970-01-01T00:00:00Z","actor":5})",
        R"({"kind":"good","time":"1970-01-01T00:00:00Z","detail":{"a":1}})",
        R"({"kind":"good","time":"1970-01-01T00:00:00Z","spec_digest":"sha1:ab"})"}) {
    const auto entry = decode_entry(text);
    ASSERT_FALSE(entry) << text;
    EXPECT_EQ(entry.error().code(), Errc::ledger_corrupt) << text;
  }
}

TEST(LedgerEntry, HashCoversNumberPredecessorAndText) {
  const std::string zeros(64, '0');
  // printf 'ledger-v1\n1\n<64 zeros>\n{}' | sha256sum
  EXPECT_EQ(entry_hash(1, zeros, "{}"),
            "5f4e591434b340a746fc8755a5ddd58ee8cd8a0cc69ccc0b65d87e123bfcd385");
  EXPECT_NE(entry_hash(1, zeros, "{}"), entry_hash(2, zeros, "{}"));
  EXPECT_NE(entry_hash(1, zeros, "{}"), entry_hash(1, std::string(64, '1'), "{}"));
  EXPECT_NE(entry_hash(1, zeros, "{}"), entry_hash(1, zeros, "{} "));
}

}  // namespace
}  // namespace holdfast::proto
