// What an instance wrote last is read by jobs, before it is decided on how it ended.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/os/file.hpp"
#include "tests/support/fake_ports.hpp"
#include "tests/support/shop.hpp"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;
using deploy::engine::Jobs;
using deploy::plan::InstanceId;
using deploy::plan::InstanceState;
using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Not;
using ::testing::SizeIs;

std::string two_services(const std::string& version, const std::string& health = "") {
  constexpr const char* kUpdate = "update: {soak: 1s, deadline: 5s, drain: 1s, standby: 30s}";
  return shop_of(service("other", pinned("other", "1", "other"), {kUpdate}) +
                 web(version, {kPublished, kUpdate}) + health);
}

class LastWords : public ::testing::Test {
 protected:
  void SetUp() override {
    host_.last_words = [this](const InstanceId& id) {
      ++reads_;
      const auto found = says_.find(id.str().substr(0, id.str().find('-')));
      return found == says_.end() ? deploy::runtime::LastWords{} : found->second;
    };
    says_["web"] = {{"no licence", "bye"}, "add: security.user"};
    agent_ = std::make_unique<Agent>(host_, dir_.path());
    ASSERT_TRUE(agent_->apply(two_services("1")));
    agent_->run(5s);
    ASSERT_EQ(status().state.text(), "converged");
    ASSERT_EQ(reads_, 0) << "nobody failed";
  }
  const proto::api::Status& status() {
    shown_ = agent_->snapshot();
    return shown_->status;
  }
  deploy::plan::ObservedInstance& serving(const std::string& service) {
    for (const auto& each : status().services)
      if (each.name == service) return host_.instances.at(InstanceId{each.instance});
    throw std::runtime_error{service + " does not serve"};
  }
  void crash(const std::string& service) {
    auto& instance = serving(service);
    instance.state = InstanceState::exited;
    instance.exit = deploy::plan::ExitInfo{3, false, {}};
    agent_->core().attention().mark_changed();
  }
  std::vector<proto::Entry> told(proto::EntryKind kind) {
    std::vector<proto::Entry> found;
    for (const auto& row : agent_->ledger().entries(0, 200).value())
      if (row.entry.kind == kind) found.push_back(row.entry);
    return found;
  }

  os::TempDir dir_ = os::TempDir::create("/tmp", "holdfast-evidence").value();
  FakeHost host_;
  std::map<std::string, deploy::runtime::LastWords> says_;
  int reads_ = 0;
  std::unique_ptr<Agent> agent_;
  std::shared_ptr<const deploy::engine::Snapshot> shown_;
};

TEST_F(LastWords, ACrashIsRestartedOnceTheyAreReadAndTheLedgerHasThem) {
  agent_->jobs().delayed = {Jobs::Pool::evidence};
  crash("web");
  agent_->run(100ms);
  EXPECT_EQ(serving("web").state, InstanceState::exited);
  EXPECT_EQ(reads_, 0) << "read by nobody but the job";
  EXPECT_THAT(told(proto::EntryKind::restarted), IsEmpty());
  EXPECT_EQ(agent_->jobs().release(), 1U);
  agent_->run(100ms);
  EXPECT_EQ(serving("web").state, InstanceState::running);
  const auto restarted = told(proto::EntryKind::restarted);
  ASSERT_THAT(restarted, SizeIs(1));
  EXPECT_EQ(restarted[0].detail.at("log_tail"), "no licence\nbye");
  EXPECT_EQ(restarted[0].detail.at("next"), "add: security.user");
}

TEST_F(LastWords, AreWaitedForHalfASecondAndNoLonger) {
  agent_->jobs().delayed = {Jobs::Pool::evidence};
  crash("web");
  agent_->run(450ms);
  EXPECT_EQ(serving("web").state, InstanceState::exited);
  agent_->run(100ms);
  EXPECT_EQ(serving("web").state, InstanceState::running);
  const auto restarted = told(proto::EntryKind::restarted);
  ASSERT_THAT(restarted, SizeIs(1));
  EXPECT_THAT(restarted[0].detail, Not(Contains(Key("log_tail"))));
  agent_->jobs().release();
  agent_->run(1s);
  EXPECT_EQ(serving("web").state, InstanceState::running) << "what comes late changes nothing";
}

TEST_F(LastWords, OfOneAreWaitedForByNoOther) {
  agent_->jobs().delayed = {Jobs::Pool::evidence};
  crash("web");
  agent_->run(10ms);
  auto& other = serving("other");
  other.deviations.push_back({proto::DriftKind::foreign_process, "pid 7 (sh), uid 0"});
  agent_->core().attention().mark_changed();
  agent_->run(50ms);
  EXPECT_THAT(told(proto::EntryKind::drift_detected), Not(IsEmpty()));
  EXPECT_EQ(serving("web").state, InstanceState::exited) << "still waited for";
}

TEST_F(LastWords, ARollbackOfAnOperatorWaitsForNone) {
  ASSERT_TRUE(agent_->apply(two_services("2")));
  agent_->run(10s);
  ASSERT_EQ(status().state.text(), "converged");
  agent_->jobs().delayed = {Jobs::Pool::evidence};
  crash("other");
  agent_->run(10ms);
  ASSERT_TRUE(agent_->rollback());
  agent_->run(100ms);
  EXPECT_EQ(host_.routing->ports.size(), 1U);
  EXPECT_EQ(host_.routing->ports.begin()->second.address, serving("web").address);
  EXPECT_EQ(status().generation, 1U);
  EXPECT_EQ(serving("other").state, InstanceState::exited) << "still waited for";
}

TEST_F(LastWords, ProveWhyARolloutFailedAlsoOfOneThatLives) {
  host_.exits["web"] = 3;
  ASSERT_TRUE(agent_->apply(two_services("2")));
  agent_->run(10s);
  EXPECT_EQ(status().generation, 1U);
  auto failed = told(proto::EntryKind::failed);
  ASSERT_THAT(failed, SizeIs(1));
  EXPECT_EQ(failed[0].detail.at("log_tail"), "no licence\nbye");
  host_.exits.clear();
  says_["web"].lines = {"waiting for the database"};
  ASSERT_TRUE(agent_->apply(two_services("3", "    health: {sd_notify: true}\n")));
  agent_->run(20s);
  failed = told(proto::EntryKind::failed);
  ASSERT_THAT(failed, SizeIs(2));
  EXPECT_EQ(failed[1].detail.at("log_tail"), "waiting for the database");
  const auto rows = agent_->snapshot()->records->quarantine;
  ASSERT_THAT(rows, SizeIs(2));
  const auto events = agent_->core().events().after(0, 1000);
  const auto results = std::count_if(events.begin(), events.end(), [](const auto& event) {
    return event.detail.find("waiting for the database") != std::string::npos &&
           event.kind == "result";
  });
  EXPECT_EQ(results, 1) << "who waits for the change is told too";
}

TEST_F(LastWords, AreHeldUpToAMiBAndTheLongestGoFirst) {
  says_["web"].lines = {std::string((1U << 20) + 1, 'x')};
  says_["other"].lines = {"short"};
  crash("web");
  crash("other");
  agent_->run(100ms);
  const auto restarted = told(proto::EntryKind::restarted);
  ASSERT_THAT(restarted, SizeIs(2));
  for (const auto& entry : restarted) {
    const auto lines = entry.detail.find("log_tail");
    EXPECT_EQ(lines == entry.detail.end() ? "" : lines->second,
              entry.service == "other" ? "short" : "");
  }
}

}  // namespace
}  // namespace holdfast::test
