#include <fmt/format.h>
#include <gmock/gmock.h>

#include "common/base/text.hpp"
#include "common/os/host_identity.hpp"
#include "proto/api/states.hpp"
#include "tests/support/daemon_fixture.hpp"
#include "tests/support/metrics_text.hpp"

namespace holdfast {
namespace {

using test::RawClient;
using ::testing::HasSubstr;
using ::testing::Not;

std::size_t split_count(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1))
    ++count;
  return count;
}

class Metrics : public test::DaemonTest {
 protected:
  void SetUp() override {
    DaemonTest::SetUp();
    start();
  }
  test::HttpReply scrape(std::string_view path = "/metrics",
                         std::string_view method = "GET") const {
    const auto client = RawClient::over_tcp(metrics_port_);
    client.send(fmt::format("{} {} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", method, path));
    return test::parse_reply(client.read_all());
  }
};

TEST_F(Metrics, PassPromtoolBeforeAndAfterTheFirstApply) {
  for (int i = 0; i < 2; ++i) {
    const auto page = scrape();
    ASSERT_EQ(page.status, 200);
    EXPECT_THAT(page.head, HasSubstr("text/plain; version=0.0.4"));
    os::RunOptions promtool;
    promtool.spawn.argv = {"promtool", "check", "metrics"};
    promtool.spawn.env = {os::kChildPath};
    promtool.input = page.body;
    const auto verdict = os::run(promtool);
    ASSERT_TRUE(verdict) << verdict.error().to_string();
    EXPECT_TRUE(os::succeeded(verdict->status)) << verdict->out << verdict->err;
    ASSERT_EQ(request("POST", "/v1/apply", test::apply_body("one")).status, 202 - 2 * i);
  }
}

TEST_F(Metrics, ShowEveryKnownValueFromTheStart) {
  const auto page = scrape().body;
  for (const auto* line :
       {"holdfast_generation_current 0", "holdfast_rollouts_total{result=\"good\"} 0",
        "holdfast_rollouts_total{result=\"failed\"} 0",
        "holdfast_rollbacks_total{trigger=\"operator\"} 0",
        "holdfast_drift_detected_total{kind=\"missing\"} 0",
        "holdfast_drift_items{kind=\"limits\"} 0", "holdfast_image_pulls_total{result=\"error\"} 0",
        "holdfast_errors_total{code=\"E_DIGEST_MISMATCH\"} 0",
        "holdfast_deployment_state{state=\"empty\"} 1",
        "holdfast_deployment_state{state=\"degraded\"} 0", "holdfast_held 0",
        "holdfast_ledger_head 0", "holdfast_ledger_writable 1",
        "holdfast_source_reads_total{result=\"error\"} 0", "holdfast_ready 1",
        "holdfast_engine_alive 1",
        "holdfast_rollout_phase_duration_seconds_bucket{phase=\"staging\",le=\"+Inf\"} 0"})
    EXPECT_THAT(page, HasSubstr(std::string{line} + "\n"));
  for (const auto* name : {"process_cpu_seconds_total", "process_resident_memory_bytes",
                           "process_open_fds", "process_threads", "process_start_time_seconds",
                           "holdfast_build_info{version=\"" HOLDFAST_VERSION "\"}"})
    EXPECT_THAT(page, HasSubstr(std::string{"\n"} + name));
}

TEST_F(Metrics, HaveASeriesForEveryKnownStateFromTheStart) {
  ASSERT_EQ(request("POST", "/v1/apply", test::apply_body("one")).status, 202);
  const auto page = scrape().body;
  const auto expect_all = [&](const std::string& before, const auto& words, auto value_of) {
    for (const auto word : words)
      EXPECT_THAT(page, HasSubstr(fmt::format("{}\"{}\"}} {}\n", before, word, value_of(word))));
    EXPECT_EQ(split_count(page, before), words.size()) << before << ": others too";
  };
  const auto one_for = [](std::string_view actual) {
    return [actual](std::string_view word) { return word == actual ? 1 : 0; };
  };
  using namespace proto::api;
  expect_all("holdfast_workload_state{workload=\"web\",state=", proto::Words<ServiceState>::kAll,
             one_for("running"));
  expect_all("holdfast_workload_health{workload=\"web\",status=", proto::Words<HealthState>::kAll,
             one_for("healthy"));
  expect_all("holdfast_deployment_state{state=", proto::Words<DeploymentState>::kAll,
             one_for("converged"));
  expect_all("holdfast_rollout_phase_duration_seconds_count{phase=",
             proto::Words<RolloutPhase>::kAll, one_for("none of them"));
  expect_all("holdfast_drift_items{kind=", proto::Words<proto::DriftKind>::kAll,
             one_for("none of them"));
}

TEST_F(Metrics, AreThoseOfTheTable) {
  EXPECT_THAT(test::unlike_the_table(test::read_metrics(scrape().body)), ::testing::IsEmpty());
  ASSERT_EQ(request("POST", "/v1/apply", test::apply_body("one")).status, 202);
  EXPECT_THAT(test::unlike_the_table(test::read_metrics(scrape().body)), ::testing::IsEmpty());
}

TEST_F(Metrics, FollowWhatRunsAndNameItWorkload) {
  ASSERT_EQ(request("POST", "/v1/apply", test::apply_body("one")).status, 202);
  const auto page = scrape().body;
  EXPECT_THAT(page, HasSubstr("holdfast_generation_current 1\n"));
  EXPECT_THAT(page, HasSubstr("holdfast_workload_state{workload=\"web\",state=\"running\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("holdfast_workload_state{workload=\"web\",state=\"missing\"} 0\n"));
  EXPECT_THAT(page, HasSubstr("holdfast_workload_health{workload=\"web\",status=\"healthy\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("holdfast_workload_restarts_total{workload=\"web\"} 0\n"));
  EXPECT_THAT(page, HasSubstr("holdfast_ledger_head 1\n"));
  EXPECT_THAT(page, HasSubstr("holdfast_ledger_head_info{number=\"1\",hash=\""));
  EXPECT_THAT(page, Not(HasSubstr(std::string(13, 'a')))) << "never a full digest";
}

TEST_F(Metrics, OverTcpNothingElseIsServed) {
  EXPECT_EQ(scrape("/healthz").status, 200);
  EXPECT_EQ(scrape("/readyz").status, 200);
  for (const auto* path : {"/v1/status", "/v1/history", "/v1/ledger/entries", "/v1/version", "/"})
    EXPECT_EQ(scrape(path).status, 404) << path;
  EXPECT_EQ(scrape("/v1/apply", "POST").status, 404);
  EXPECT_EQ(scrape("/metrics", "POST").status, 405);
}

TEST_F(Metrics, OverTcpOnlyGetAndHeadAreTaken) {
  for (const auto* path : {"/metrics", "/healthz", "/readyz"}) {
    const auto whole = scrape(path);
    const auto head = scrape(path, "HEAD");
    EXPECT_EQ(head.status, whole.status) << path;
    EXPECT_EQ(head.body, "") << path;
    EXPECT_THAT(head.head, Not(HasSubstr("Content-Length: 0\r\n"))) << path;
    for (const auto* method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "head"}) {
      const auto refused = scrape(path, method);
      EXPECT_EQ(refused.status, 405) << method << " " << path;
      EXPECT_THAT(refused.head, HasSubstr("Allow: GET, HEAD\r\n")) << method << " " << path;
    }
  }
  EXPECT_EQ(scrape("/v1/status", "HEAD").status, 404);
}

TEST_F(Metrics, OverTcpOnlyWhoAsksThisHostIsAnswered) {
  const auto ask = [this](std::string_view fields, std::string_view path = "/metrics") {
    const auto client = RawClient::over_tcp(metrics_port_);
    client.send(fmt::format("GET {} HTTP/1.1\r\n{}\r\n", path, fields));
    return test::parse_reply(client.read_all());
  };
  const auto port = std::to_string(metrics_port_);
  for (const auto& host : {"127.0.0.1:" + port, std::string{"localhost"}, "[::1]:" + port,
                           std::string{"web1.example.com"}, os::host_name() + ":" + port})
    EXPECT_EQ(ask("Host: " + host + "\r\n").status, 200) << host;
  for (const auto* path : {"/metrics", "/healthz", "/readyz", "/nothing"}) {
    const auto refused = ask("Host: rebound.example.net\r\n", path);
    EXPECT_EQ(refused.status, 421) << path;
    EXPECT_THAT(refused.body, HasSubstr("metrics_hosts")) << path;
    EXPECT_THAT(refused.body, Not(HasSubstr("holdfast_"))) << path;
  }
  EXPECT_EQ(ask("Host: localhost\r\nHost: rebound.example.net\r\n").status, 421) << "two of them";
  EXPECT_EQ(ask("").status, 200) << "no browser asks without";
}

TEST_F(Metrics, GoToWhoBearsTheTokenAndToNobodyWhereThereIsNone) {
  constexpr const char* kToken = "0123456789abcdef";
  config_.metrics_token_file = dir() / "token";
  signal(SIGTERM);
  ASSERT_EQ(wait(), 0);
  start();
  const auto ask = [this](std::string_view path, const std::string& fields) {
    const auto client = RawClient::over_tcp(metrics_port_);
    client.send(fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", path, fields));
    return test::parse_reply(client.read_all());
  };
  const auto bearing = fmt::format("Authorization: Bearer {}\r\n", kToken);
  const auto said = [this](std::string_view text) {
    return eventually([&] { return get("/v1/status").body.find(text) != std::string::npos; });
  };
  EXPECT_TRUE(said("metrics are given to nobody over the network"));
  EXPECT_EQ(ask("/metrics", bearing).status, 503);
  EXPECT_THAT(get("/metrics").body,
              HasSubstr("holdfast_setup_incomplete{key=\"metrics_token_file\"} 1\n"))
      << "the socket knows who asks";
  ASSERT_TRUE(os::write_atomic(config_.metrics_token_file, kToken));
  signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return ask("/metrics", bearing).status == 200; }));
  const auto refused = ask("/metrics", "");
  EXPECT_EQ(refused.status, 401);
  EXPECT_THAT(refused.head, HasSubstr("WWW-Authenticate: Bearer realm=\"holdfast\"\r\n"));
  EXPECT_THAT(refused.body, Not(HasSubstr("holdfast_")));
  EXPECT_EQ(ask("/metrics", bearing + bearing).status, 401) << "two of them";
  EXPECT_EQ(ask("/metrics", "Authorization: Bearer 0123456789abcdeg\r\n").status, 401);
  EXPECT_EQ(ask("/healthz", "").status, 200) << "says nothing of the host";
  EXPECT_EQ(ask("/readyz", "").status, 200);
  EXPECT_TRUE(eventually(
      [&] { return get("/v1/status").body.find("given to nobody") == std::string::npos; }));
}

TEST_F(Metrics, AreServedWithTheLastFiguresOfAHostThatHangs) {
  ASSERT_EQ(request("POST", "/v1/apply", test::apply_body("one")).status, 202);
  ASSERT_TRUE(eventually([this] {
    return scrape().body.find("holdfast_workload_pids{workload=\"web\"} 1\n") != std::string::npos;
  }));
  const auto mark = config_.state_dir / "host-hangs";
  ASSERT_TRUE(os::write_atomic(mark, ""));
  os::sleep_until(SystemClock{}.boot() + std::chrono::milliseconds{1100},
                  {});  // they are a second old
  const auto timestamp = [](const std::string& page) {
    const auto at = page.find("\nholdfast_host_read_timestamp_seconds ");
    return page.substr(at, page.find('\n', at + 1) - at);
  };
  const auto begin = SystemClock{}.boot();
  const auto first = scrape();
  EXPECT_EQ(get("/v1/status").status, 200) << "others do not wait";
  const auto second = scrape();
  EXPECT_LT(SystemClock{}.boot() - begin, std::chrono::seconds{8});
  for (const auto* page : {&first, &second}) {
    EXPECT_EQ(page->status, 200);
    EXPECT_THAT(page->body, HasSubstr("holdfast_workload_pids{workload=\"web\"} 1\n"));
  }
  EXPECT_EQ(timestamp(first.body), timestamp(second.body)) << "it can be seen that they are old";
  std::filesystem::remove(mark);
  EXPECT_TRUE(eventually([&] { return timestamp(scrape().body) != timestamp(second.body); }));
}

TEST_F(Metrics, DoNotGrowWithWhatClientsSend) {
  const auto series = [this] {
    const auto page = scrape().body;
    return split(page, '\n').size();
  };
  const auto before = series();
  for (int i = 0; i < 200; ++i) {
    (void)scrape(fmt::format("/path-{}?x={}", i, i), fmt::format("METHOD{}", i));
    (void)request(fmt::format("M{}", i), fmt::format("/v1/{}", i));
  }
  EXPECT_EQ(series(), before);
}

}  // namespace
}  // namespace holdfast
