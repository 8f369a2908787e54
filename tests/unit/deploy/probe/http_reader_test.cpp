#include "deploy/probe/http_reader.hpp"

#include <gtest/gtest.h>

#include <string>

namespace holdfast::deploy::probe {
namespace {

using State = HttpReader::State;

/// The reader after the whole text, fed in pieces of `step` bytes.
HttpReader read(std::string_view text, std::size_t step = 1'000'000) {
  HttpReader reader;
  for (std::size_t at = 0; at < text.size(); at += step) reader.feed(text.substr(at, step));
  return reader;
}

TEST(HttpReader, ABodyOfKnownLengthIsReadHoweverItIsCut) {
  constexpr std::string_view kText =
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\n\r\nhellomore";
  for (std::size_t step = 1; step < kText.size(); ++step) {
    const auto reader = read(kText, step);
    EXPECT_EQ(reader.state(), State::done);
    EXPECT_EQ(reader.status(), 200);
    EXPECT_EQ(reader.body(), "hello");
  }
}

TEST(HttpReader, AChunkedBodyIsReadHoweverItIsCut) {
  constexpr std::string_view kText =
      "HTTP/1.1 200 OK\r\ntransfer-encoding: CHUNKED\r\n\r\n5;x=y\r\nhello\r\n7\r\n, "
      "world\r\n0\r\n\r\n";
  for (std::size_t step = 1; step < kText.size(); ++step) {
    const auto reader = read(kText, step);
    EXPECT_EQ(reader.state(), State::done);
    EXPECT_EQ(reader.body(), "hello, world");
  }
}

TEST(HttpReader, ABodyUpToTheCloseIsCompletedByIt) {
  auto reader = read("HTTP/1.0 503 Service Unavailable\n\nbusy");
  EXPECT_EQ(reader.state(), State::body);
  reader.end();
  EXPECT_EQ(reader.state(), State::done);
  EXPECT_EQ(reader.status(), 503);
  EXPECT_EQ(reader.body(), "busy");
}

TEST(HttpReader, AnswersWithoutABodyAreDoneAtOnce) {
  EXPECT_EQ(read("HTTP/1.1 204 No Content\r\n\r\n").state(), State::done);
  EXPECT_EQ(read("HTTP/1.1 304\r\n\r\n").state(), State::done);
  EXPECT_EQ(read("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").state(), State::done);
}

TEST(HttpReader, InterimAnswersAreSkipped) {
  const auto reader =
      read("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 7);
  EXPECT_EQ(reader.state(), State::done);
  EXPECT_EQ(reader.status(), 200);
}

TEST(HttpReader, WhatIsNotHttpIsSaidToBeSoAtOnce) {
  for (const char* text :
       {"SSH-2.0-OpenSSH_9.2\r\n", "X", "HTTP/2 200\r\n\r\n", "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 20\r\n\r\n", "HTTP/1.1 2000\r\n\r\n", "HTTP/1.1 999 x\r\n\r\n", "\r\n"}) {
    const auto reader = read(text);
    EXPECT_EQ(reader.state(), State::broken) << text;
    EXPECT_EQ(reader.fault(), "not an HTTP response") << text;
  }
}

TEST(HttpReader, BrokenFramingIsAFault) {
  EXPECT_EQ(read("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n").state(), State::broken);
  EXPECT_EQ(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").state(),
            State::broken);
  EXPECT_EQ(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n").state(),
            State::broken);
  EXPECT_EQ(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n").state(),
            State::broken);
  EXPECT_EQ(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(2000, '1'))
                .state(),
            State::broken);
  auto cut = read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
  cut.end();
  EXPECT_EQ(cut.fault(), "closed in the middle of the body");
  auto empty = read("");
  empty.end();
  EXPECT_EQ(empty.fault(), "closed without an answer");
}

TEST(HttpReader, ALargeHeadIsRefusedAndALargeBodyCutOff) {
  EXPECT_EQ(read("HTTP/1.1 200 OK\r\nX: " + std::string(17'000, 'x'), 1000).fault(),
            "headers larger than 16 KiB");
  const auto reader =
      read("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + std::string(70'000, 'x'), 1000);
  EXPECT_EQ(reader.state(), State::done);
  EXPECT_EQ(reader.body().size(), HttpReader::kBodyLimit);
  const auto chunked = read(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" + std::string(70'000, 'x'),
      1000);
  EXPECT_EQ(chunked.state(), State::done);
  EXPECT_EQ(chunked.body().size(), HttpReader::kBodyLimit);
}

}  // namespace
}  // namespace holdfast::deploy::probe
