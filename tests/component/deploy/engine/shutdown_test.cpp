// The host goes down: what the engine does from the first call to the next life of the host.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/os/file.hpp"
#include "tests/support/fake_ports.hpp"
#include "tests/support/shop.hpp"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;
using deploy::plan::InstanceState;
using proto::EntryKind;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string two(const std::string& version) {
  constexpr const char* kUpdate = "update: {soak: 1s, deadline: 5s, drain: 1s}";
  return shop_of(web(version, {"depends_on: [db]", kUpdate}) +
                 service("db", pinned("db", "1", "db"), {"restart: on-failure", kUpdate}));
}

class Shutdowns : public ::testing::Test {
 protected:
  void SetUp() override {
    begin();
    ASSERT_TRUE(agent_->apply(two("1")));
    agent_->run(10s);
    ASSERT_TRUE(agent_->apply(two("2")));
    agent_->run(10s);
    ASSERT_EQ(count(InstanceState::frozen), 1U);
    from_ = agent_->ledger().head().value().number;
    host_.stops.clear();
  }
  void begin() {
    agent_.reset();
    agent_ = std::make_unique<Agent>(host_, dir_.path());
  }
  Result<proto::api::ShutdownProgress> ask(std::uint64_t within_seconds = 0) {
    return agent_->core().commands().shutdown.ask({within_seconds}, kRoot);
  }
  std::size_t count(InstanceState state) {
    return static_cast<std::size_t>(
        std::count_if(host_.instances.begin(), host_.instances.end(),
                      [&](const auto& row) { return row.second.state == state; }));
  }
  /// What is on record since the shutdown began.
  std::vector<std::pair<EntryKind, std::string>> entries() {
    std::vector<std::pair<EntryKind, std::string>> out;
    for (const auto& row : agent_->ledger().entries(from_, 1000).value())
      out.emplace_back(row.entry.kind, row.entry.reason);
    return out;
  }
  void boot() {
    host_.boot_id = "the next one";
    host_.clock.advance(60s);
    host_.started = host_.clock.boot() - 5s;
    host_.routing.reset();
    for (auto& [id, seen] : host_.instances) {
      seen.state = InstanceState::broken;
      seen.earlier_boot = true;
      seen.exit.reset();
    }
    begin();
  }

  os::TempDir dir_ = os::TempDir::create("/tmp", "holdfast-shutdown").value();
  FakeHost host_;
  std::unique_ptr<Agent> agent_;
  std::uint64_t from_ = 0;
};

TEST_F(Shutdowns, EverythingEndsAndOneEntrySaysWhy) {
  const auto first = ask();
  ASSERT_TRUE(first);
  EXPECT_THAT(first->running, ElementsAre("db", "web"));
  EXPECT_EQ(first->standby, 1U);
  agent_->run(5s);
  const auto last = ask();
  ASSERT_TRUE(last);
  EXPECT_THAT(last->running, IsEmpty());
  EXPECT_EQ(last->standby, 0U);
  EXPECT_EQ(count(InstanceState::running) + count(InstanceState::frozen), 0U);
  ASSERT_EQ(host_.stops.size(), 3U);
  EXPECT_THAT(host_.stops.back().first.str(), HasSubstr("db"));
  EXPECT_THAT(entries(), ElementsAre(std::pair{EntryKind::stopped, "the host goes down"}));
  const auto shown = agent_->snapshot();
  EXPECT_EQ(shown->status.state.text(), "held");
  EXPECT_THAT(shown->status.message, HasSubstr("the host goes down"));
  EXPECT_THAT(shown->status.drift, IsEmpty());
}

TEST_F(Shutdowns, TheNextLifeOfTheHostServesAgainAndKnowsOfNoDrift) {
  ASSERT_TRUE(ask());
  agent_->run(5s);
  boot();
  agent_->run(20s);
  EXPECT_EQ(count(InstanceState::running), 2U);
  const auto shown = agent_->snapshot();
  EXPECT_EQ(shown->status.state.text(), "converged");
  for (const auto& [kind, reason] : entries())
    EXPECT_THAT(kind, ::testing::AnyOf(EntryKind::stopped, EntryKind::agent_started)) << reason;
  EXPECT_GE(shown->gauges.boot_to_healthy_seconds, 5) << "counted from the start of the host";
}

TEST_F(Shutdowns, AnAgentThatIsKilledInItGoesOnWithIt) {
  ASSERT_TRUE(ask());
  agent_->run(0s);
  begin();
  agent_->run(20s);
  EXPECT_EQ(count(InstanceState::running) + count(InstanceState::frozen), 0U);
  EXPECT_THAT(ask()->running, IsEmpty());
  boot();
  agent_->run(20s);
  EXPECT_EQ(count(InstanceState::running), 2U) << "what ended with code 0 has not completed";
}

TEST_F(Shutdowns, NobodyAsksAnyMoreSoTheHostStaysUpAndServes) {
  ASSERT_TRUE(ask());
  agent_->run(4min);
  EXPECT_EQ(count(InstanceState::running), 0U);
  agent_->run(3min);
  EXPECT_EQ(count(InstanceState::running), 2U);
  EXPECT_EQ(agent_->snapshot()->status.state.text(), "converged");
  EXPECT_THAT(entries(),
              ::testing::Contains(std::pair{
                  EntryKind::started, "the host did not go down: what ran is started again"}));
  begin();
  agent_->run(10s);
  EXPECT_EQ(count(InstanceState::running), 2U) << "and that is remembered";
}

TEST_F(Shutdowns, TheEarlierEndCounts) {
  ASSERT_TRUE(ask());
  host_.clock.advance(1s);
  ASSERT_TRUE(ask(3));
  ASSERT_TRUE(ask(3600)) << "a later one does not";
  agent_->run(1s);
  const auto by_rule = std::find_if(host_.stops.begin(), host_.stops.end(), [](const auto& stop) {
    return stop.second.signal != "SIGKILL";
  });
  ASSERT_NE(by_rule, host_.stops.end());
  EXPECT_LE(by_rule->second.timeout, 3s) << "of the 10 s that its rule gives";
}

TEST_F(Shutdowns, ThePacketFilterMayGoFirst) {
  ASSERT_TRUE(ask());
  agent_->run(0s);
  host_.routing.reset();
  agent_->core().attention().mark_changed();
  agent_->run(10s);
  EXPECT_THAT(entries(), ElementsAre(std::pair{EntryKind::stopped, "the host goes down"}));
}

TEST_F(Shutdowns, AWaitOfMoreThanADayIsRefused) {
  const auto asked = ask(86'401);
  ASSERT_FALSE(asked);
  EXPECT_EQ(asked.error().code(), Errc::usage);
  agent_->run(5s);
  EXPECT_EQ(count(InstanceState::running), 2U);
}

}  // namespace
}  // namespace holdfast::test
