#include "common/url/url.hpp"

#include <gtest/gtest.h>

#include <string>

namespace holdfast::url {
namespace {

using namespace std::string_literals;

std::string every_byte() {
  std::string bytes;
  for (int c = 0; c < 256; ++c) bytes += static_cast<char>(c);
  return bytes;
}

TEST(Url, OnlyUnreservedCharactersStayAsTheyAre) {
  EXPECT_EQ(encode("aZ09-._~"), "aZ09-._~");
  EXPECT_EQ(encode("a b/c?d=e&f+g%"), "a%20b%2Fc%3Fd%3De%26f%2Bg%25");
  EXPECT_EQ(encode("ü\n\0"s), "%C3%BC%0A%00");
}

TEST(Url, ATargetStaysAsItIsButForWhatEndsALine) {
  EXPECT_EQ(encode("/a%20b?c=%zz&d", Plain::printable), "/a%20b?c=%zz&d");
  EXPECT_EQ(encode("/a b\r\nX: y\x7f", Plain::printable), "/a%20b%0D%0AX:%20y%7F");
}

TEST(Url, BytesAreOneLineThatDecodesToThemAgain) {
  const auto text = encode(every_byte().substr(1), Plain::printable_but_percent, Digits::lower);
  EXPECT_NE(text.find("%7f"), std::string::npos);
  for (const char c : text) EXPECT_TRUE(c > 0x20 && c < 0x7F);
  EXPECT_EQ(*decode(text), every_byte().substr(1));
}

TEST(Url, DecodesBothCasesAndAPlusOnlyWhereItIsABlank) {
  EXPECT_EQ(*decode("a%2fb%2Fc+d"), "a/b/c+d");
  EXPECT_EQ(*decode("a%2fb+c%2B", Plus::blank), "a/b c+");
  EXPECT_EQ(*decode(""), "");
  EXPECT_EQ(*decode("%41"), "A");
}

TEST(Url, WhatIsNoEscapeIsRefused) {
  for (const char* text : {"%", "a%4", "%4g", "%g4", "%%41", "%00", "a%00b"}) {
    const auto decoded = decode(text);
    ASSERT_FALSE(decoded) << text;
    EXPECT_EQ(decoded.error().code(), Errc::usage) << text;
    EXPECT_NE(decoded.error().what().find("bad percent encoding in \""), std::string::npos) << text;
  }
}

TEST(Url, LenientlyDecodedAnEscapeThatIsNoneStandsForItself) {
  EXPECT_EQ(decode_leniently("user.%41%zz%4"), "user.A%zz%4");
  EXPECT_EQ(decode_leniently("%%41%"), "%A%");
  EXPECT_EQ(decode_leniently("a%00b"), "a\0b"s);
}

TEST(Url, HasParts) {
  const auto parts = parts_of("https://user:secret@mirror.example:5000/v2/proxy?a#b");
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->scheme, "https");
  EXPECT_EQ(parts->authority, "mirror.example:5000");
  EXPECT_EQ(parts->host, "mirror.example");
  EXPECT_EQ(parts->path, "/v2/proxy");
  EXPECT_TRUE(parts->has_user);
  EXPECT_TRUE(parts->has_query_or_fragment);
  const auto bare = parts_of("http://[::1]:5000");
  ASSERT_TRUE(bare);
  EXPECT_EQ(bare->authority, "[::1]:5000");
  EXPECT_EQ(bare->host, "::1");
  EXPECT_EQ(bare->path, "");
  EXPECT_FALSE(bare->has_user);
  EXPECT_FALSE(bare->has_query_or_fragment);
}

TEST(Url, WithoutAHostIsNone) {
  for (const char* text : {"", "mirror.example", "/v2/", "https://", "https:///path", "mailto:a@b",
                           "http://a b/", "http://a:port/", "http://a:80x/p", "http://[::1]x/",
                           "http://a:65536/", "http://a/%zz", "http://a/\n"})
    EXPECT_FALSE(parts_of(text)) << text;
}

}  // namespace
}  // namespace holdfast::url
