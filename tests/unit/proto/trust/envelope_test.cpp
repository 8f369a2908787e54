#include "proto/trust/envelope.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <span>

#include "common/base/text.hpp"

namespace holdfast::proto::trust {
namespace {

using testing::HasSubstr;

std::string base64(std::string_view text) { return to_base64(std::as_bytes(std::span{text})); }

/// One member replaced, or left out where `value` is empty.
std::string envelope(std::string_view key = "", std::string value = "") {
  std::string out = "{";
  const auto add = [&](std::string_view name, const std::string& usual) {
    const auto& text = name == key ? value : usual;
    if (!text.empty())
      out += (out.size() > 1 ? "," : "") + ("\"" + std::string{name} + "\":") + text;
  };
  add("payloadType", "\"t\"");
  add("payload", "\"" + base64("p") + "\"");
  add("signatures", R"([{"keyid":"k","sig":")" + base64("s") + "\"}]");
  add("more", "");
  return out + "}";
}

TEST(Envelope, IsReadAndGivenBack) {
  const Envelope wanted{"t", "p", {{"k", "s"}}};
  EXPECT_EQ(*read_envelope(envelope()), wanted);
  EXPECT_EQ(*read_envelope(write_envelope(wanted)), wanted);
  const Envelope two{"t", std::string("\0\xff\n", 3), {{"", "s"}, {"k", "\x80"}}};
  EXPECT_EQ(*read_envelope(write_envelope(two)), two);
  EXPECT_TRUE(write_envelope(two).ends_with("}\n"));
}

TEST(Envelope, TakesEitherAlphabetOfBase64) {
  EXPECT_EQ(read_envelope(envelope("payload", R"("+/8=")"))->payload, "\xfb\xff");
  EXPECT_EQ(read_envelope(envelope("payload", R"("-_8=")"))->payload, "\xfb\xff");
}

TEST(Envelope, RefusesEveryOtherForm) {
  struct Case {
    std::string text;
    Errc code;
    const char* says;
  };
  std::string many = "[";
  for (std::size_t i = 0; i <= kMostSignatures; ++i) many += R"({"sig":"cw=="},)";
  many.back() = ']';
  const Case cases[] = {
      {"", Errc::sig_invalid, "not a signed document"},
      {"<!DOCTYPE html><html>", Errc::sig_invalid, "HTML"},
      {"  \n<html>", Errc::sig_invalid, "HTML"},
      {"apiVersion: holdfast/v1\n", Errc::sig_missing, "without a signature"},
      {"[]", Errc::sig_invalid, "not a signed document"},
      {"{", Errc::sig_invalid, "not valid JSON"},
      {envelope() + envelope(), Errc::sig_invalid, "unexpected text"},
      {R"({"payload":"cA==","payload":"cA==","payloadType":"t","signatures":[{"sig":"cw=="}]})",
       Errc::sig_invalid, "duplicate key"},
      {R"({"payloadType":"t","payload":"cA==","signatures":[{"sig":"cw==","sig":"cw=="}]})",
       Errc::sig_invalid, "duplicate key"},
      {envelope("payloadType"), Errc::sig_invalid, "payloadType"},
      {envelope("payload"), Errc::sig_invalid, "payload"},
      {envelope("signatures"), Errc::sig_invalid, "signatures"},
      {envelope("more", "1"), Errc::sig_invalid, "unknown member \"more\""},
      {envelope("payloadType", "1"), Errc::sig_invalid, "payloadType"},
      {envelope("payloadType", "\"" + std::string(129, 't') + "\""), Errc::too_large,
       "payloadType"},
      {envelope("payload", "null"), Errc::sig_invalid, "payload"},
      {envelope("payload", "\"c\""), Errc::sig_invalid, "base64"},
      {envelope("payload", R"("cA==\n")"), Errc::sig_invalid, "base64"},
      {envelope("signatures", "{}"), Errc::sig_invalid, "signatures"},
      {envelope("signatures", "[]"), Errc::sig_missing, "no signature"},
      {envelope("signatures", "[1]"), Errc::sig_invalid, "no object"},
      {envelope("signatures", many), Errc::too_large, "33 signatures"},
      {envelope("signatures", R"([{"keyid":"k"}])"), Errc::sig_invalid, "sig"},
      {envelope("signatures", R"([{"sig":"cw==","cert":"x"}])"), Errc::sig_invalid, "cert"},
      {envelope("signatures", R"([{"keyid":1,"sig":"cw=="}])"), Errc::sig_invalid, "keyid"},
      {envelope("signatures", R"([{"sig":")" + base64(std::string(257, 's')) + "\"}]"),
       Errc::too_large, "sig"},
      {"{" + std::string(kMostEnvelopeBytes, ' '), Errc::too_large, "2.0 MiB"},
  };
  for (const auto& [text, code, says] : cases) {
    const auto read = read_envelope(text);
    ASSERT_FALSE(read) << text.substr(0, 200);
    EXPECT_EQ(read.error().code(), code) << text.substr(0, 200);
    EXPECT_THAT(read.error().what(), HasSubstr(says));
  }
}

TEST(Envelope, HoldsAMebibyteAndNotAByteMore) {
  EXPECT_TRUE(read_envelope(
      envelope("payload", "\"" + base64(std::string(kMostPayloadBytes, 'p')) + "\"")));
  EXPECT_EQ(read_envelope(
                envelope("payload", "\"" + base64(std::string(kMostPayloadBytes + 1, 'p')) + "\""))
                .error()
                .code(),
            Errc::too_large);
}

TEST(Envelope, SignsWhatDsseSays) {
  // The vector of the DSSE protocol document.
  EXPECT_EQ(pae("http://example.com/HelloWorld", "hello world"),
            "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
  EXPECT_EQ(pae("", ""), "DSSEv1 0  0 ");
  EXPECT_NE(pae("a", "b c"), pae("a b", "c"));
}

}  // namespace
}  // namespace holdfast::proto::trust
