#include "common/http/reader.hpp"

#include <gtest/gtest.h>

#include <string>

#include "common/http/text.hpp"

namespace holdfast::http {
namespace {

constexpr std::string_view kPost =
    "POST /v1/apply?x=%20 HTTP/1.1\r\nHost: a\r\nlast-event-id: 7\r\nContent-Length: 4\r\n\r\nbody";
constexpr std::string_view kChunked =
    "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";

template <class R>
R read(std::string_view text, std::size_t piece, Limits limits = {}) {
  R reader{limits};
  for (; !text.empty(); text.remove_prefix(std::min(piece, text.size())))
    reader.feed(text.substr(0, piece));
  return reader;
}

TEST(HttpMessages, ARequestIsReadHoweverItIsCut) {
  for (std::size_t piece = 1; piece <= kPost.size(); ++piece) {
    const auto reader = read<RequestReader>(kPost, piece);
    ASSERT_TRUE(reader.done()) << piece;
    EXPECT_EQ(reader.message().method, "POST");
    EXPECT_EQ(reader.message().target, "/v1/apply?x=%20");
    EXPECT_EQ(reader.message().body, "body");
    EXPECT_EQ(reader.message().last_event_id, "7");
    EXPECT_TRUE(reader.message().takes_chunks);
    EXPECT_EQ(reader.left_over(), 0U);
  }
}

TEST(HttpMessages, AChunkedResponseIsReadHoweverItIsCut) {
  for (std::size_t piece = 1; piece <= kChunked.size(); ++piece) {
    const auto reader = read<ResponseReader>(kChunked, piece);
    ASSERT_TRUE(reader.done()) << piece;
    EXPECT_EQ(reader.message().status, 404U);
    EXPECT_EQ(reader.message().content_type, "application/json");
    EXPECT_EQ(reader.message().body, "abcde");
  }
}

TEST(HttpMessages, AnAuthorizationIsTakenAsItWasSentAndOfTwoNone) {
  const auto of = [](const std::string& fields) {
    return read<RequestReader>("GET / HTTP/1.1\r\n" + fields + "\r\n", 5).message().authorization;
  };
  EXPECT_EQ(of(""), std::nullopt);
  EXPECT_EQ(of("authorization: Bearer a b\r\n"), "Bearer a b");
  EXPECT_EQ(of("Authorization: Bearer a\r\nAuthorization: Bearer a\r\n"), "");
}

TEST(HttpMessages, AfterA101TheConnectionGoesOnWithWhatFollows) {
  constexpr std::string_view kAsked =
      "POST /v1/exec HTTP/1.1\r\nConnection: Upgrade\r\nupgrade: frames\r\nContent-Length: "
      "2\r\n\r\n{}";
  const auto request = read<RequestReader>(kAsked, 7);
  ASSERT_TRUE(request.done());
  EXPECT_EQ(request.message().upgrade, "frames");
  EXPECT_EQ(request.message().body, "{}");
  ResponseReader reader{{}};
  reader.feed(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: frames\r\n\r\nab");
  ASSERT_TRUE(reader.done());
  reader.feed("c");
  EXPECT_EQ(reader.message().body, "");
  EXPECT_EQ(reader.take_left_over(), "abc");
  EXPECT_EQ(reader.left_over(), 0U);
}

TEST(HttpMessages, ABodyIsTakenAwayAsItComes) {
  ResponseReader reader{{}};
  reader.feed("HTTP/1.1 200 OK\r\n\r\nfirst");
  ASSERT_TRUE(reader.head_done());
  EXPECT_EQ(std::exchange(reader.message().body, {}), "first");
  reader.feed("second");
  EXPECT_EQ(reader.message().body, "second");
  EXPECT_FALSE(reader.done());
  reader.end();
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(reader.fault(), Fault::none);
}

TEST(HttpMessages, WhatComesAfterTheEndIsLeftOver) {
  EXPECT_EQ(read<RequestReader>(std::string{kPost} + "GET /", 4096).left_over(), 5U);
}

TEST(HttpMessages, AnOldClientTakesNoChunks) {
  EXPECT_FALSE(read<RequestReader>("GET / HTTP/1.0\r\n\r\n", 4096).message().takes_chunks);
}

TEST(HttpMessages, LimitsHold) {
  const Limits limits{.head_bytes = 100, .body_bytes = 4};
  EXPECT_TRUE(read<RequestReader>(kPost, 4096, limits).done());
  EXPECT_EQ(read<RequestReader>("GET /" + std::string(200, 'a'), 7, limits).fault(),
            Fault::head_too_large);
  EXPECT_EQ(read<RequestReader>("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", 7, limits).fault(),
            Fault::body_too_large);
  EXPECT_EQ(
      read<RequestReader>(
          "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n", 7, limits)
          .fault(),
      Fault::body_too_large);
}

TEST(HttpMessages, WhatTwoReadersWouldSeeDifferentlyIsMalformed) {
  for (const char* text :
       {"GET  / HTTP/1.1\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "GET / HTTP/1.1\n\n", "\r\n\r\n\r\n",
        "GET / HTTP/1.1\r\nA : b\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: "
        "chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"}) {
    const auto reader = read<RequestReader>(text, 4096);
    EXPECT_EQ(reader.fault(), Fault::malformed) << text;
    EXPECT_FALSE(reader.fault_text().empty());
  }
}

TEST(HttpMessages, AMessageThatEndsTooEarlyIsCutOff) {
  for (const std::string_view text :
       {std::string_view{}, kChunked.substr(0, 10), kChunked.substr(0, kChunked.size() - 3)}) {
    auto reader = read<ResponseReader>(text, 4096);
    reader.end();
    EXPECT_EQ(reader.fault(), Fault::cut_off) << text;
  }
}

TEST(HttpMessages, AreWrittenAsTheyAreRead) {
  EXPECT_EQ(request_head("GET", "/x", {{"Host", "h"}, {"Content-Length", ""}}),
            "GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(response_head(431, {{"Allow", "GET"}}),
            "HTTP/1.1 431 Request Header Fields Too Large\r\nAllow: GET\r\n\r\n");
  EXPECT_EQ(chunk("0123456789abcdef"), "10\r\n0123456789abcdef\r\n");
  EXPECT_EQ(chunk(""), "0\r\n\r\n");
}

}  // namespace
}  // namespace holdfast::http
