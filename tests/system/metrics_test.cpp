#include <fmt/format.h>
#include <gmock/gmock.h>

#include "common/base/text.hpp"
#include "proto/api/states.hpp"
#include "tests/support/daemon_fixture.hpp"

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
    client.send(fmt::format("{} {} HTTP/1.1\r\nHost: x\r\n\r\n", method, path));
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
