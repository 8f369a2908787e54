#include "proto/worker/fetch.hpp"

#include <gmock/gmock.h>

namespace holdfast::proto::worker {
namespace {

using testing::ElementsAre;

TEST(FetchMessages, ARequestArrivesAsItWasSent) {
  const FetchRequest sent{.method = FetchMethod::head,
                          .url = "https://a.example/x?y=z",
                          .headers = {"Accept: text/plain", "If-None-Match: \"1\""},
                          .subject = "a \"document\"",
                          .limits = {.bytes = 1ULL << 40,
                                     .answer_seconds = 60,
                                     .total_seconds = 120,
                                     .hosts = {"b.example", "c.example:8443"}},
                          .size = 7,
                          .skip_endpoints = 2,
                          .have = 3};
  const auto got = decode_fetch_request(encode(sent));
  ASSERT_TRUE(got) << got.error().to_string();
  EXPECT_EQ(got->method, FetchMethod::head);
  EXPECT_EQ(got->url, sent.url);
  EXPECT_EQ(got->headers, sent.headers);
  EXPECT_EQ(got->subject, sent.subject);
  EXPECT_EQ(got->limits.bytes, 1ULL << 40);
  EXPECT_EQ(got->limits.answer_seconds, 60U);
  EXPECT_EQ(got->limits.total_seconds, 120U);
  EXPECT_EQ(got->limits.hosts, sent.limits.hosts);
  EXPECT_EQ(got->size, 7U);
  EXPECT_EQ(got->skip_endpoints, 2U);
  EXPECT_EQ(got->have, 3U);
}

TEST(FetchMessages, ALineEndMakesNoSecondHeader) {
  for (const auto* end : {"\r\n", "\n", "\r"}) {
    EXPECT_FALSE(decode_fetch_request(
        encode({.url = "/a", .headers = {std::string{"Accept: x"} + end + "Host: evil"}})));
    EXPECT_FALSE(decode_fetch_request(encode({.url = std::string{"/a"} + end + "b"})));
  }
  EXPECT_FALSE(decode_fetch_request(encode(FetchRequest{}))) << "without a URL";
  EXPECT_TRUE(decode_fetch_request(encode({.url = "/a", .headers = {"Accept: x"}})));
}

TEST(FetchMessages, ASetupArrivesAsItWasSentAndNeedsAnEndpoint) {
  FetchEndpoint endpoint;
  endpoint.base = "https://a.example";
  endpoint.query = "ns=r.io";
  endpoint.token_scope = "repository:a:pull";
  endpoint.ca_files = {"/a.crt", "/b.crt"};
  endpoint.no_proxy = {"localhost"};
  const auto got = decode_fetch_setup(encode({.endpoints = {endpoint}, .bytes_per_second = 9}));
  ASSERT_TRUE(got) << got.error().to_string();
  ASSERT_EQ(got->endpoints.size(), 1U);
  EXPECT_EQ(got->endpoints[0].base, endpoint.base);
  EXPECT_EQ(got->endpoints[0].query, endpoint.query);
  EXPECT_EQ(got->endpoints[0].token_scope, endpoint.token_scope);
  EXPECT_THAT(got->endpoints[0].ca_files, ElementsAre("/a.crt", "/b.crt"));
  EXPECT_THAT(got->endpoints[0].no_proxy, ElementsAre("localhost"));
  EXPECT_EQ(got->bytes_per_second, 9U);
  EXPECT_FALSE(decode_fetch_setup(encode(FetchSetup{})));
}

TEST(FetchMessages, AChildsFailureBecomesTheCallers) {
  const auto failed = decode_fetch_report(
      encode(Result<FetchReport>{Error{Errc::tls, "no trust"}.hint("set `ca`")}));
  EXPECT_EQ(failed.error().to_string(), "E_TLS: no trust (next: set `ca`)");
  EXPECT_EQ(decode_fetch_report("nonsense").error().code(), Errc::internal);
  const auto done =
      decode_fetch_report(encode(FetchReport{.done = true, .bytes = 5, .status = 206}));
  EXPECT_TRUE(done->done);
  EXPECT_EQ(done->bytes, 5U);
  EXPECT_EQ(done->status, 206U);
}

}  // namespace
}  // namespace holdfast::proto::worker
