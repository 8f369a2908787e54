#include <fmt/format.h>
#include <gmock/gmock.h>

#include "common/base/text.hpp"
#include "proto/api/codec.hpp"
#include "tests/support/daemon_fixture.hpp"

namespace holdfast {
namespace {

namespace api = proto::api;
using test::apply_body;
using test::RawClient;
using ::testing::HasSubstr;

class Api : public test::DaemonTest {
 protected:
  void SetUp() override {
    DaemonTest::SetUp();
    start();
  }
  api::ErrorBody error_of(const test::HttpReply& reply) {
    auto body = api::decode<api::ErrorBody>(reply.body);
    EXPECT_TRUE(body) << reply.body;
    return body ? *body : api::ErrorBody{};
  }
};

TEST_F(Api, ShowsWhatRunsAfterAnApply) {
  const auto applied = request("POST", "/v1/apply", apply_body("one"));
  ASSERT_EQ(applied.status, 202) << applied.body;
  const auto accepted = api::decode<api::Accepted>(applied.body);
  EXPECT_EQ(accepted->generation, 1U);
  EXPECT_TRUE(accepted->changed);

  const auto status = api::decode<api::Status>(get("/v1/status").body);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->deployment, "shop");
  EXPECT_EQ(status->generation, 1U);
  ASSERT_EQ(status->services.size(), 1U);
  EXPECT_EQ(status->services.front().name, "web");

  const auto history = api::decode<std::vector<api::HistoryItem>>(get("/v1/history").body);
  ASSERT_EQ(history->size(), 1U);
  EXPECT_EQ(history->front().actor, "root (uid 0)");
  EXPECT_EQ(get("/v1/drift").body, "[]");
}

TEST_F(Api, AnswersAnApplyThatChangesNothingWith200) {
  ASSERT_EQ(request("POST", "/v1/apply", apply_body("one")).status, 202);
  const auto again = request("POST", "/v1/apply", apply_body("one"));
  EXPECT_EQ(again.status, 200);
  EXPECT_FALSE(api::decode<api::Accepted>(again.body)->changed);
}

TEST_F(Api, ADryRunIsAPlanAndChangesNothing) {
  const auto body = api::encode(api::ApplyRequest{test::document("one"), "f", "", true});
  const auto plan = request("POST", "/v1/apply", body);
  EXPECT_EQ(plan.status, 200);
  EXPECT_TRUE(api::decode<api::PlanReport>(plan.body)->changes);
  EXPECT_EQ(request("POST", "/v1/plan", apply_body("one")).status, 200);
  EXPECT_EQ(request("POST", "/v1/rollback", R"({"to":1,"dry_run":true})").status, 200);
  EXPECT_EQ(get("/v1/history").body, "[]");
}

TEST_F(Api, ShowsOneGenerationWithItsDocumentAndEntries) {
  ASSERT_EQ(request("POST", "/v1/apply", apply_body("one", "first try")).status, 202);
  const auto reply = get("/v1/generations/1");
  ASSERT_EQ(reply.status, 200) << reply.body;
  const auto record = api::decode<api::GenerationRecord>(reply.body);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->generation.generation, 1U);
  EXPECT_EQ(record->document, test::document("one"));
  EXPECT_THAT(record->canonical, HasSubstr(R"("TAG":"one")"));
  ASSERT_EQ(record->entries.size(), 1U);
  EXPECT_EQ(record->entries.front().reason, "first try");
  EXPECT_EQ(record->entries.front().kind, "accepted");

  const auto missing = get("/v1/generations/9");
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(error_of(missing).code, "E_NOT_FOUND");
  EXPECT_NE(error_of(missing).next, "");
  EXPECT_EQ(get("/v1/generations/x").status, 400);
}

TEST_F(Api, ShowsAndVerifiesTheLedger) {
  for (const auto* tag : {"a", "b", "c"})
    ASSERT_EQ(request("POST", "/v1/apply", apply_body(tag)).status, 202);
  const auto head = api::decode<api::LedgerHead>(get("/v1/ledger/head").body);
  EXPECT_EQ(head->number, 3U);
  const auto page =
      api::decode<std::vector<api::LedgerEntry>>(get("/v1/ledger/entries?after=1&limit=1").body);
  ASSERT_EQ(page->size(), 1U);
  EXPECT_EQ(page->front().number, 2U);
  const auto report =
      api::decode<api::LedgerVerification>(request("POST", "/v1/ledger/verify").body);
  EXPECT_TRUE(report->intact);
  EXPECT_EQ(report->entries, 3U);
  EXPECT_EQ(report->head.hash, head->hash);
  EXPECT_EQ(get("/v1/ledger/entries?limit=0").status, 400);
  EXPECT_EQ(get("/v1/ledger/entries?limit=1001").status, 400);
  EXPECT_EQ(get("/v1/ledger/entries?after=-1").status, 400);
}

TEST_F(Api, RefusesABrokenDocumentWithEveryFault) {
  const auto reply = request("POST", "/v1/apply",
                             api::encode(api::ApplyRequest{"name: [", "shop.yaml", "", false}));
  EXPECT_EQ(reply.status, 422);
  EXPECT_EQ(error_of(reply).code, "E_SPEC_PARSE");
  EXPECT_THAT(error_of(reply).message, HasSubstr("shop.yaml:1"));
}

TEST_F(Api, RefusesARollbackWithoutATarget) {
  const auto reply = request("POST", "/v1/rollback", "{}");
  EXPECT_EQ(reply.status, 404);
  EXPECT_EQ(error_of(reply).code, "E_NOT_FOUND");
}

TEST_F(Api, NamesWhatIsWrongWithARequest) {
  EXPECT_EQ(request("POST", "/v1/apply", "{").status, 400);
  EXPECT_EQ(request("POST", "/v1/apply", "").status, 400);
  EXPECT_EQ(request("POST", "/v1/apply", "[]").status, 400);
  EXPECT_THAT(error_of(request("POST", "/v1/apply", R"({"document":5})")).message,
              HasSubstr("document is not a text"));
  EXPECT_THAT(error_of(request("POST", "/v1/apply", "{}")).message,
              HasSubstr("document is missing"));
  EXPECT_THAT(error_of(request("POST", "/v1/rollback", R"({"tu":1})")).message,
              HasSubstr("did you mean \"to\""));
  EXPECT_EQ(get("/v1/events?follow=2").status, 400);
  EXPECT_EQ(get("/v1/events?after=1&after=2").status, 400);
  EXPECT_EQ(get("/v1/status?x=%zz").status, 400);
  EXPECT_EQ(get("/v1/logs/..").status, 400);
  EXPECT_EQ(get("/v1/logs/..%2f..%2fetc").status, 404);
  EXPECT_EQ(get("/v1/logs/web?since=yesterday").status, 400);
}

TEST_F(Api, SuggestsThePathThatWasMeant) {
  const auto reply = get("/v1/statu");
  EXPECT_EQ(reply.status, 404);
  EXPECT_THAT(error_of(reply).next, HasSubstr("/v1/status"));
}

TEST_F(Api, NamesTheMethodThatIsAllowed) {
  const auto reply = request("POST", "/v1/status", "{}");
  EXPECT_EQ(reply.status, 405);
  EXPECT_THAT(reply.head, HasSubstr("Allow: GET"));
}

TEST_F(Api, RefusesWhatIsNotOneHttpRequest) {
  const std::string host = "Host: x\r\n";
  EXPECT_EQ(raw("nonsense\r\n\r\n").status, 400);
  EXPECT_EQ(raw("GET http://x/v1/status HTTP/1.1\r\n" + host + "\r\n").status, 400);
  EXPECT_EQ(raw("POST /v1/rollback HTTP/1.1\r\n" + host +
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
                .status,
            400);
  EXPECT_EQ(raw("POST /v1/rollback HTTP/1.1\r\n" + host +
                "Content-Length: 2\r\nContent-Length: 20\r\n\r\n{}")
                .status,
            400);
  EXPECT_EQ(
      raw("POST /v1/ledger/verify HTTP/1.1\r\n" + host + "Content-Length: 0\r\n\r\n{\"to\":1}")
          .status,
      400);
  EXPECT_EQ(
      raw("GET /v1/status HTTP/1.1\r\n" + host + "\r\nGET /v1/history HTTP/1.1\r\n\r\n").status,
      400);
}

TEST_F(Api, RefusesWhatIsTooLarge) {
  const auto large =
      raw("POST /v1/apply HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n" +
          std::string(1 << 20, 'x'));
  EXPECT_EQ(large.status, 413);
  const auto chunked =
      raw("POST /v1/apply HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n300000\r\n" +
          std::string(0x300000, 'x') + "\r\n0\r\n\r\n");
  EXPECT_EQ(chunked.status, 413);
  const auto header =
      raw("GET /v1/status HTTP/1.1\r\nHost: x\r\nX-Long: " + std::string(20'000, 'x') + "\r\n\r\n");
  EXPECT_EQ(header.status, 431);
  EXPECT_EQ(get("/v1/history").body, "[]");
}

TEST_F(Api, GivesUpOnASlowRequestAndServesOthersMeanwhile) {
  const auto slow = RawClient::over_socket(socket());
  slow.send("GET /v1/status HT");
  EXPECT_EQ(get("/v1/status").status, 200);
  const auto reply = test::parse_reply(slow.read_all());
  EXPECT_EQ(reply.status, 408);
}

TEST_F(Api, ServesOthersWhileManyConnectionsWait) {
  std::vector<RawClient> waiting;
  for (int i = 0; i < 400; ++i) waiting.push_back(RawClient::over_socket(socket()));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(get("/v1/status").status, 200);
  std::vector<RawClient> on_tcp;
  for (int i = 0; i < 60; ++i) on_tcp.push_back(RawClient::over_tcp(metrics_port_));
  const auto client = RawClient::over_tcp(metrics_port_);
  client.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(test::parse_reply(client.read_all()).status, 200);
}

TEST_F(Api, GoesOnWhenAClientLeavesInTheMiddle) {
  for (int i = 0; i < 50; ++i) {
    const auto body = apply_body(fmt::format("{}", i));
    const auto client = RawClient::over_socket(socket());
    client.send(fmt::format("POST /v1/apply HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{}",
                            body.size(), body));
  }
  EXPECT_TRUE(eventually([this] {
    const auto history = api::decode<std::vector<api::HistoryItem>>(get("/v1/history").body);
    return history && !history->empty();
  }));
  EXPECT_EQ(get("/v1/status").status, 200);
}

TEST_F(Api, AnswersHttp10WithoutChunks) {
  ASSERT_EQ(request("POST", "/v1/apply", apply_body("one")).status, 202);
  const auto reply = raw("GET /v1/events HTTP/1.0\r\n\r\n");
  EXPECT_EQ(reply.status, 200);
  EXPECT_THAT(reply.body, HasSubstr("event: accepted\n"));
}

TEST_F(Api, SaysItsStatusInTheWordsOfHttp) {
  EXPECT_THAT(get("/v1/status").head, ::testing::StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(get("/v1/none").head, ::testing::StartsWith("HTTP/1.1 404 Not Found\r\n"));
  EXPECT_THAT(request("POST", "/v1/status").head,
              ::testing::StartsWith("HTTP/1.1 405 Method Not Allowed\r\n"));
}

TEST_F(Api, TellsItsVersion) {
  EXPECT_EQ(get("/v1/version").body, R"({"version":")" HOLDFAST_VERSION R"(","api":"v1"})");
}

}  // namespace
}  // namespace holdfast
