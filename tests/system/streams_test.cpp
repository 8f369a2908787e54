// Events and logs: answers that go on.
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <signal.h>

#include "common/base/text.hpp"
#include "proto/api/codec.hpp"
#include "tests/support/daemon_fixture.hpp"

namespace holdfast {
namespace {

namespace api = proto::api;
using test::apply_body;
using test::RawClient;
using ::testing::HasSubstr;
using ::testing::Not;

class Streams : public test::DaemonTest {
 protected:
  void SetUp() override {
    DaemonTest::SetUp();
    start();
  }
  RawClient follow(const std::string& target, const std::string& header = "") {
    auto client = RawClient::over_socket(socket());
    client.send("GET " + target + " HTTP/1.1\r\nHost: x\r\n" + header + "\r\n");
    return client;
  }
  static std::string log_line(int number, std::string_view text, char flag = 'F') {
    return fmt::format("2026-11-23T09:00:00.{:09}+00:00 stdout {} {}\n", number, flag, text);
  }
  void apply(std::string_view tag) {
    ASSERT_EQ(request("POST", "/v1/apply", apply_body(tag)).status, 202);
  }
  void write_log(const std::string& service, const std::string& lines) {
    const auto folder = config_.state_dir / "logs" / service;
    ASSERT_TRUE(os::make_directories(folder));
    const auto fd =
        os::open_file(folder / (service + "-0a1b2c3d-1.log"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ASSERT_TRUE(fd);
    ASSERT_TRUE(os::write_all(fd->get(), lines));
  }
};

TEST_F(Streams, EventsWithoutFollowEndAfterTheLast) {
  apply("one");
  const auto reply = get("/v1/events");
  EXPECT_EQ(reply.status, 200);
  EXPECT_THAT(reply.head, HasSubstr("Content-Type: text/event-stream"));
  EXPECT_THAT(reply.body, HasSubstr("id: 1\nevent: accepted\ndata: {\"number\":1,"));
  EXPECT_THAT(reply.body, HasSubstr("id: 2\nevent: result\n"));
  EXPECT_EQ(get("/v1/events?after=2").body, "");
}

TEST_F(Streams, FollowedEventsArriveWhenTheyHappen) {
  const auto client = follow("/v1/events?follow=1");
  EXPECT_THAT(client.read_until("\r\n\r\n"), HasSubstr("200 OK"));
  apply("one");
  EXPECT_THAT(client.read_until("event: result"), HasSubstr("event: accepted"));
  apply("two");
  EXPECT_THAT(client.read_until("event: result"), HasSubstr("id: 3\nevent: accepted"));
}

TEST_F(Streams, EventsGoOnAfterTheLastOneSeen) {
  apply("one");
  apply("two");
  const auto client = follow("/v1/events?after=0&follow=1", "Last-Event-ID: 3\r\n");
  const auto text = client.read_until("event: result");
  EXPECT_THAT(text, HasSubstr("id: 4\n"));
  EXPECT_THAT(text, Not(HasSubstr("id: 3\n")));
}

TEST_F(Streams, ANumberFromAnEarlierLifeBeginsAnew) {
  apply("one");
  EXPECT_THAT(follow("/v1/events?after=5000&follow=1").read_until("event: result"),
              HasSubstr("id: 1\n"));
}

TEST_F(Streams, EventsCanBeFilteredByKind) {
  apply("one");
  EXPECT_THAT(get("/v1/events?kind=result").body, Not(HasSubstr("event: accepted")));
  EXPECT_THAT(get("/v1/events?kind=result,accepted").body, HasSubstr("event: accepted"));
  EXPECT_EQ(get("/v1/events?kind=nothing").body, "");
}

TEST_F(Streams, AThousandFollowersComeAndGo) {
  for (int i = 0; i < 1000; ++i) {
    const auto client = follow("/v1/events?follow=1");
    if (i % 100 == 0) apply(fmt::format("{}", i));
  }
  EXPECT_EQ(get("/v1/status").status, 200);
  EXPECT_TRUE(eventually([this] {
    return get("/metrics").body.find("holdfast_api_connections 1\n") != std::string::npos;
  }));
}

TEST_F(Streams, LogsAreLinesOfJson) {
  write_log("web",
            "2026-11-23T09:00:00.000000001+00:00 stdout F "
            "first\n2026-11-23T09:00:01.000000000+00:00 stderr F se\x1b[2Jcond\n");
  const auto reply = get("/v1/logs/web");
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_THAT(reply.head, HasSubstr("application/x-ndjson"));
  const auto lines = split(trim(reply.body), '\n');
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(api::decode<api::LogLine>(lines[0])->text, "first");
  EXPECT_EQ(api::decode<api::LogLine>(lines[1])->stream.text(), "stderr");
  EXPECT_THAT(reply.body, Not(HasSubstr("\x1b")));
  EXPECT_EQ(split(trim(get("/v1/logs/web?tail=1").body), '\n').size(), 1U);
  EXPECT_EQ(split(trim(get("/v1/logs/web?since=2026-11-23T09:00:00.5Z").body), '\n').size(), 1U);
}

TEST_F(Streams, LogsOfAnUnknownServiceAreNotFound) {
  const auto reply = get("/v1/logs/nobody");
  EXPECT_EQ(reply.status, 404);
  EXPECT_EQ(api::decode<api::ErrorBody>(reply.body)->code, "E_NOT_FOUND");
}

TEST_F(Streams, FollowedLogsGoOn) {
  write_log("web", "2026-11-23T09:00:00.000000000+00:00 stdout F first\n");
  const auto client = follow("/v1/logs/web?follow=1");
  EXPECT_THAT(client.read_until("first"), HasSubstr("first"));
  write_log("web", "2026-11-23T09:00:01.000000000+00:00 stdout F second\n");
  EXPECT_THAT(client.read_until("second"), HasSubstr("second"));
}

TEST_F(Streams, AManyLinedLogArrivesWhole) {
  std::string lines;
  for (int i = 0; i < 20'000; ++i)
    lines += fmt::format("2026-11-23T09:00:00.{:09}+00:00 stdout F line {}\n", i, i);
  write_log("web", lines);
  const auto body = get("/v1/logs/web").body;
  EXPECT_EQ(split(trim(body), '\n').size(), 20'000U);
}

TEST_F(Streams, ALongTailIsTheLastLinesOfTheLogHoweverManyBytesTheyAre) {
  std::string lines;
  for (int i = 0; i < 3'000; ++i)
    lines += log_line(i, fmt::format("line {} {}", i, std::string(300, 'x')));
  write_log("web", lines);
  for (const std::size_t tail : {5U, 2'900U, 1'000'000U}) {
    const auto body = get(fmt::format("/v1/logs/web?tail={}", tail)).body;
    const auto got = split(trim(body), '\n');
    const auto expected = std::min<std::size_t>(tail, 3'000);
    ASSERT_EQ(got.size(), expected);
    for (std::size_t i = 0; i < expected; ++i)
      ASSERT_THAT(got[i], HasSubstr(fmt::format("line {} ", 3'000 - expected + i)));
  }
}

TEST_F(Streams, ALineLongerThanSixteenKibibytesComesInPieces) {
  std::string raw = log_line(1, "before");
  for (int i = 0; i < 20; ++i) raw += log_line(2, std::string(8'192, 'a'), 'P');
  raw += log_line(3, "end") + log_line(4, "after");
  write_log("web", raw);
  for (const auto* target : {"/v1/logs/web?tail=2", "/v1/logs/web?tail=1000000"}) {
    std::string joined;
    std::size_t longest = 0;
    const auto body = get(target).body;
    for (const auto line : split(trim(body), '\n')) {
      const auto message = api::decode<api::LogLine>(line);
      ASSERT_TRUE(message);
      longest = std::max(longest, message->text.size());
      joined += message->text + (message->partial ? "" : "\n");
    }
    EXPECT_LE(longest, 16U << 10);
    EXPECT_THAT(joined, HasSubstr(std::string(std::size_t{20} * 8'192, 'a') + "end\nafter\n"));
  }
}

TEST_F(Streams, ReadersOfLongLinesHoldFewBytesEach) {
  std::string raw;
  for (int i = 0; i < 1'000; ++i)  // 8 MiB in lines of 800 KiB, each byte of which is six in JSON
    raw += log_line(i, std::string(8'192, '\x01'), i % 100 == 99 ? 'F' : 'P');
  write_log("web", raw);
  const auto before = test::most_memory_of(pid());
  std::vector<RawClient> readers;
  for (int i = 0; i < 16; ++i) readers.push_back(follow("/v1/logs/web?tail=1000000"));
  for (const auto& reader : readers)  // and does not read on
    ASSERT_THAT(reader.read_until("u0001"), HasSubstr("u0001"));
  EXPECT_LT(test::most_memory_of(pid()) - before, 12U << 20);
}

TEST_F(Streams, ASeventeenthLogReaderIsToldToWait) {
  write_log("web", "2026-11-23T09:00:00.000000000+00:00 stdout F first\n");
  std::vector<RawClient> readers;
  for (int i = 0; i < 16; ++i) {
    readers.push_back(follow("/v1/logs/web?follow=1"));
    ASSERT_THAT(readers.back().read_until("first"), HasSubstr("first"));
  }
  EXPECT_EQ(get("/v1/logs/web").status, 503);
  readers.clear();
  EXPECT_TRUE(eventually([this] { return get("/v1/logs/web").status == 200; }));
}

TEST_F(Streams, FollowersDoNotKeepTheDaemonFromEnding) {
  write_log("web", "2026-11-23T09:00:00.000000000+00:00 stdout F first\n");
  const auto logs = follow("/v1/logs/web?follow=1");
  const auto events = follow("/v1/events?follow=1");
  ASSERT_THAT(logs.read_until("first"), HasSubstr("first"));
  ASSERT_THAT(events.read_until("\r\n\r\n"), HasSubstr("200"));
  const SystemClock clock;
  const auto begin = clock.boot();
  signal(SIGTERM);
  EXPECT_EQ(wait(), 0);
  EXPECT_LT(clock.boot() - begin, std::chrono::seconds{3});
}

}  // namespace
}  // namespace holdfast
