// The confined network child as every user of it sees it, images aside.
#include "deploy/fetch/fetcher.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <unistd.h>

#include <fstream>
#include <future>
#include <sstream>

#include "common/os/environment.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "deploy/fetch/bandwidth_limit.hpp"

namespace holdfast::deploy::fetch {
namespace {

using namespace std::chrono_literals;
using proto::worker::FetchMethod;
using proto::worker::FetchRequest;
using testing::HasSubstr;
using testing::StartsWith;

/// The two servers of fetch_lab.py.
class Lab {
 public:
  Lab() {
    auto out = os::make_pipe();
    auto in = os::make_pipe();
    const auto script = os::environment("HOLDFAST_SOURCE").value_or(".") +
                        "/tests/component/deploy/fetch/fetch_lab.py";
    server_.emplace(*os::Process::spawn({.argv = {"python3", script},
                                         .env = {os::kChildPath},
                                         .fds = {{in->first.get(), 0}, {out->second.get(), 1}},
                                         .directory = {},
                                         .new_session = true}));
    stdin_ = std::move(in->second);
    char text[64] = "";
    EXPECT_GT(::read(out->first.get(), text, sizeof text - 1), 0);
    std::istringstream{text} >> first_ >> second_;
  }
  [[nodiscard]] std::string first() const { return "127.0.0.1:" + first_; }
  [[nodiscard]] std::string second() const { return "127.0.0.1:" + second_; }

 private:
  std::string first_;
  std::string second_;
  os::UniqueFd stdin_;
  std::optional<os::Process> server_;
};

class FetcherTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { lab_ = std::make_unique<Lab>(); }
  static void TearDownTestSuite() { lab_.reset(); }

  static proto::worker::FetchEndpoint endpoint(const std::string& host) {
    proto::worker::FetchEndpoint endpoint;
    endpoint.base = "http://" + host;
    return endpoint;
  }
  Fetcher& fetcher() {
    if (!fetcher_) {
      const auto worker = os::environment("HOLDFAST_BIN").value_or("bin") + "/holdfast-worker";
      fetcher_.emplace(network_child(worker, -1));
      EXPECT_TRUE(fetcher_->configure({.endpoints = endpoints_}));
    }
    return *fetcher_;
  }
  static FetchRequest request(const std::string& url) {
    FetchRequest request;
    request.url = url;
    request.subject = "a document";
    request.limits.bytes = 1000;
    return request;
  }
  Result<FetchedDocument> get(const FetchRequest& wanted) { return fetcher().document(wanted, {}); }
  /// Bytes, or the failure.
  std::string text(const FetchRequest& wanted) {
    const auto document = get(wanted);
    return document ? document->bytes : document.error().to_string();
  }

  static std::unique_ptr<Lab> lab_;
  std::vector<proto::worker::FetchEndpoint> endpoints_{endpoint(lab_->first()),
                                                       endpoint(lab_->second())};
  std::optional<Fetcher> fetcher_;
};
std::unique_ptr<Lab> FetcherTest::lab_;

TEST_F(FetcherTest, APathIsAskedForAtTheEndpointsInOrder) {
  const auto who = get(request("/who"));
  ASSERT_TRUE(who) << who.error().to_string();
  EXPECT_EQ(who->bytes, "first");
  EXPECT_EQ(who->report.status, 200U);
  EXPECT_EQ(who->report.content_type, "text/plain");
  EXPECT_EQ(who->report.endpoint, lab_->first());
  EXPECT_EQ(text(request("/only-second")), "second");
  auto skipping = request("/who");
  skipping.skip_endpoints = 1;
  EXPECT_EQ(text(skipping), "second");
}

TEST_F(FetcherTest, AWholeUrlIsAskedForAtItsEndpointOnly) {
  EXPECT_EQ(text(request("http://" + lab_->second() + "/who")), "second");
  EXPECT_THAT(text(request("http://" + lab_->first() + "/only-second")), StartsWith("E_NOT_FOUND"));
  EXPECT_THAT(text(request("http://127.0.0.1:1/who")), HasSubstr("none of the places"));
  EXPECT_THAT(text(request("http://" + lab_->first() + ".evil.example/who")),
              HasSubstr("none of the places"));
}

TEST_F(FetcherTest, HeadersAndTheEndpointsQueryGoWithIt) {
  endpoints_[0].query = "ns=r.io";
  auto marked = request("/asked");
  marked.headers = {"X-Mark: yes"};
  EXPECT_EQ(text(marked), "/asked?ns=r.io yes None");
  marked.url = "/asked?a=b";
  EXPECT_EQ(text(marked), "/asked?a=b&ns=r.io yes None");
}

TEST_F(FetcherTest, ALoginIsShownToItsEndpointWhenThatAsksForIt) {
  endpoints_[0].user = "user";
  endpoints_[0].password = "pass";
  EXPECT_EQ(text(request("/asked")), "/asked None None");
  EXPECT_EQ(text(request("/private")), "secret");
  EXPECT_THAT(text(request("http://" + lab_->second() + "/private")), StartsWith("E_AUTH"));
}

TEST_F(FetcherTest, HeadTellsTheLengthAndBringsNothing) {
  auto head = request("/bytes/123456");
  head.method = FetchMethod::head;
  const auto answer = get(head);
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->bytes, "");
  EXPECT_EQ(answer->report.length, 123456U);
  head.url = "/absent";
  EXPECT_THAT(text(head), StartsWith("E_NOT_FOUND"));
}

TEST_F(FetcherTest, WhatDidNotChangeIsNotSentAgain) {
  auto tagged = request("/tagged");
  EXPECT_EQ(text(tagged), "version one");
  tagged.headers = {"If-None-Match: \"v1\""};
  const auto again = get(tagged);
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(again->report.status, 304U);
  EXPECT_EQ(again->bytes, "");
}

TEST_F(FetcherTest, EachRequestHasItsOwnLimitOfBytes) {
  auto wanted = request("/bytes/1000");
  EXPECT_EQ(text(wanted).size(), 1000U);
  wanted.url = "/bytes/1001";
  EXPECT_THAT(text(wanted), HasSubstr("larger than"));
  wanted.limits.bytes = 2000;
  EXPECT_EQ(text(wanted).size(), 1001U);
}

TEST_F(FetcherTest, EachRequestHasItsOwnLimitOfTime) {
  const SystemClock clock;
  auto slow = request("/slow");
  slow.limits = {.bytes = 1U << 30, .total_seconds = 2};
  auto began = clock.boot();
  EXPECT_THAT(text(slow), testing::AnyOf(StartsWith("E_NET_SLOW"), StartsWith("E_NET_TIMEOUT")));
  EXPECT_LT(clock.boot() - began, 5s) << "tries, waits and both endpoints together";
  auto broken = request("/broken");
  broken.limits.total_seconds = 3;  // a server on a busy machine may need one for its first answer
  began = clock.boot();
  EXPECT_THAT(text(broken), HasSubstr("500"));
  EXPECT_LT(clock.boot() - began, 5s);
}

TEST_F(FetcherTest, ARedirectLeadsToListedHostsOnly) {
  endpoints_.pop_back();
  auto wanted = request("/elsewhere");
  EXPECT_EQ(text(wanted), "second");
  wanted.limits.hosts = {"other.example", lab_->second()};
  EXPECT_EQ(text(wanted), "second");
  for (const auto& hosts : {std::vector<std::string>{"other.example"},
                            std::vector<std::string>{"127.0.0.1"},
                            {lab_->first()}}) {
    wanted.limits.hosts = hosts;
    EXPECT_THAT(text(wanted), HasSubstr(lab_->second() + ", which this request may not reach"));
  }
}

TEST_F(FetcherTest, OneChildServesStreamsAndDocumentsSideBySide) {
  auto body = os::make_pipe();
  auto slow = request("/slow");
  slow.limits.bytes = 1U << 30;
  auto stream = fetcher().stream(slow, std::move(body->second));
  ASSERT_TRUE(stream) << stream.error().to_string();
  std::vector<std::future<std::string>> documents;
  for (int i = 0; i < 10; ++i)
    documents.push_back(std::async(std::launch::async, [&] { return text(request("/who")); }));
  for (auto& document : documents) EXPECT_EQ(document.get(), "first");
  char byte = 0;
  EXPECT_EQ(::read(body->first.get(), &byte, 1), 1);
}

TEST_F(FetcherTest, AStopEndsADocumentWithinASecond) {
  std::stop_source stop;
  auto slow = request("/slow");
  slow.limits.bytes = 1U << 30;
  auto waiting =
      std::async(std::launch::async, [&] { return fetcher().document(slow, stop.get_token()); });
  ASSERT_EQ(waiting.wait_for(300ms), std::future_status::timeout);
  stop.request_stop();
  ASSERT_EQ(waiting.wait_for(1s), std::future_status::ready);
  EXPECT_EQ(waiting.get().error().code(), Errc::cancelled);
}

}  // namespace
}  // namespace holdfast::deploy::fetch
