#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/daemon/metrics.hpp"
#include "common/os/file.hpp"
#include "tests/support/fake_ports.hpp"
#include "tests/support/shop.hpp"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;
using deploy::engine::Jobs;
using deploy::plan::InstanceState;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

std::string stoppable(const std::string& version, const std::string& stop = "{}") {
  return shop_of(web(
      version,
      {kPublished, "update: {soak: 1s, deadline: 5s, drain: 1s, standby: 1s}", "stop: " + stop}));
}

class Endings : public ::testing::Test {
 protected:
  /// Version 2 is good, and what is left of version 1 is being stopped without end.
  void SetUp() override {
    begin();
    ASSERT_TRUE(agent_->apply(stoppable("1", "{signal: SIGINT, timeout: 45s}")));
    agent_->run(5s);
    agent_->jobs().delayed = {Jobs::Pool::retire};
    ASSERT_TRUE(agent_->apply(stoppable("2")));
    agent_->run(20s);
    ASSERT_EQ(status().state.text(), "converged");
    ASSERT_THAT(host_.instances, SizeIs(2)) << "one of them is being stopped";
  }
  void begin() {
    agent_.reset();
    agent_ = std::make_unique<Agent>(host_, dir_.path());
  }
  const proto::api::Status& status() {
    shown_ = agent_->snapshot();
    return shown_->status;
  }
  std::size_t running() {
    return static_cast<std::size_t>(
        std::count_if(host_.instances.begin(), host_.instances.end(),
                      [](const auto& row) { return row.second.state == InstanceState::running; }));
  }
  std::string metrics() { return agent::daemon::metrics_text(*agent_->snapshot(), {}); }

  os::TempDir dir_ = os::TempDir::create("/tmp", "holdfast-endings").value();
  FakeHost host_;
  std::unique_ptr<Agent> agent_;
  std::shared_ptr<const deploy::engine::Snapshot> shown_;
};

TEST_F(Endings, ARollbackIsDoneWhileAnOlderInstanceIsBeingStopped) {
  ASSERT_TRUE(agent_->rollback());
  agent_->run(3s);
  EXPECT_EQ(status().generation, 1U);
  EXPECT_EQ(status().state.text(), "converged");
  EXPECT_THAT(agent_->snapshot()->records->quarantine, SizeIs(1)) << "what was left, only";
}

TEST_F(Endings, AnUpdateIsGoodAndACrashIsRestartedMeanwhile) {
  ASSERT_TRUE(agent_->apply(stoppable("3")));
  agent_->run(4s);
  EXPECT_EQ(status().generation, 3U);
  EXPECT_EQ(status().state.text(), "converged");
  auto& serving = host_.instances.at(deploy::plan::InstanceId{status().services[0].instance});
  serving.state = InstanceState::exited;
  serving.exit = deploy::plan::ExitInfo{1, false, {}};
  agent_->core().attention().mark_changed();
  agent_->run(100ms);
  EXPECT_EQ(serving.state, InstanceState::running);
}

TEST_F(Endings, AnAgentThatStartsAgainStopsByTheRuleOfTheFormerDocument) {
  begin();
  agent_->run(2s);
  ASSERT_THAT(host_.stops, SizeIs(1));
  EXPECT_EQ(host_.stops[0].second, (proto::StopRule{"SIGINT", 45s}));
  EXPECT_THAT(host_.instances, SizeIs(1));
  EXPECT_EQ(running(), 1U);
}

TEST_F(Endings, WhoHadToBeKilledIsTold) {
  host_.stubborn.insert("web");
  EXPECT_THAT(metrics(), HasSubstr("holdfast_workload_stop_kills_total{workload=\"web\"} 0"));
  agent_->jobs().delayed.clear();
  EXPECT_EQ(agent_->jobs().release(), 1U);
  agent_->run(2s);
  EXPECT_THAT(metrics(), HasSubstr("holdfast_workload_stop_kills_total{workload=\"web\"} 1"));
  const auto entries = agent_->ledger().entries(0, 100).value();
  const auto told = std::find_if(entries.begin(), entries.end(), [](const auto& row) {
    return row.entry.kind == proto::EntryKind::stop_killed;
  });
  ASSERT_NE(told, entries.end());
  EXPECT_THAT(told->entry.reason, HasSubstr("did not end within 45s of SIGINT and was killed"));
  EXPECT_EQ(told->entry.service, "web");
  EXPECT_EQ(told->entry.generation, 1U);
}

}  // namespace
}  // namespace holdfast::test
