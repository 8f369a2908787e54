// What runs programs or writes files of instances is left to jobs, and nothing waits for it that
// need not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/os/file.hpp"
#include "tests/support/fake_ports.hpp"
#include "tests/support/shop.hpp"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;
using deploy::engine::Jobs;
using ::testing::Key;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

std::string thawable(const std::string& version, const std::string& more = "") {
  return shop_of(
      web(version, {kPublished, "update: {soak: 1s, deadline: 5s, drain: 1s, standby: 30s}"}) +
      more);
}

std::string with_cache(const std::string& version) {
  return thawable(version, service("cache", pinned("cache", "1", "cache"), {}));
}

class BriefJobs : public ::testing::Test {
 protected:
  void SetUp() override {
    agent_ = std::make_unique<Agent>(host_, dir_.path());
    ASSERT_TRUE(agent_->apply(thawable("1")));
    agent_->run(10s);
    ASSERT_TRUE(agent_->apply(thawable("2")));
    agent_->run(10s);
    ASSERT_EQ(agent_->snapshot()->status.state.text(), "converged");
    ASSERT_EQ(host_.restores, 0);
  }
  std::size_t told(const std::string& kind) {
    const auto entries = agent_->ledger().entries(0, 200).value();
    return static_cast<std::size_t>(
        std::count_if(entries.begin(), entries.end(), [&](const auto& row) {
          const auto found = row.entry.detail.find("kind");
          return proto::to_string(row.entry.kind) == kind && found != row.entry.detail.end() &&
                 found->second == "publish";
        }));
  }

  os::TempDir dir_ = os::TempDir::create("/tmp", "holdfast-brief").value();
  FakeHost host_;
  std::unique_ptr<Agent> agent_;
};

TEST_F(BriefJobs, ATableThatWasLostIsMadeWholeByAJobOnce) {
  const auto before = *host_.routing;
  agent_->jobs().delayed = {Jobs::Pool::network};
  host_.routing.reset();
  agent_->core().attention().mark_changed();
  agent_->run(200ms);
  agent_->core().attention().mark_changed();
  agent_->run(200ms);
  EXPECT_FALSE(host_.routing) << "not by the engine's thread";
  EXPECT_EQ(agent_->jobs().release(), 1U) << "asked once, however many passes find it lost";
  agent_->run(200ms);
  EXPECT_EQ(host_.routing, before);
  EXPECT_EQ(host_.restores, 1);
  EXPECT_EQ(told("drift_detected"), 1U);
  EXPECT_EQ(told("drift_repaired"), 1U);
}

TEST_F(BriefJobs, ARollbackMeanwhileGoesThroughAsSoonAsTheTableIsWhole) {
  agent_->jobs().delayed = {Jobs::Pool::network};
  host_.routing.reset();
  agent_->core().attention().mark_changed();
  agent_->run(50ms);
  ASSERT_TRUE(agent_->rollback());
  agent_->run(50ms);
  EXPECT_FALSE(host_.routing);
  agent_->jobs().release();
  agent_->run(1ms);
  ASSERT_TRUE(host_.routing);
  ASSERT_THAT(host_.routing->ports, SizeIs(1));
  const auto serving = deploy::plan::InstanceId{agent_->snapshot()->status.services[0].instance};
  EXPECT_EQ(host_.routing->ports.begin()->second.address, host_.instances.at(serving).address);
  EXPECT_EQ(host_.instances.at(serving).generation, 1U);
}

TEST_F(BriefJobs, OneThatCannotBeMadeWholeIsTriedOnceASecond) {
  host_.restore_error = Error{Errc::cni, "nft: no such program"};
  host_.routing.reset();
  agent_->core().attention().mark_changed();
  agent_->run(2s);  // by itself
  EXPECT_LE(host_.restores, 3);
  EXPECT_GE(host_.restores, 2);
  host_.restore_error.reset();
  agent_->run(10s);
  EXPECT_TRUE(host_.routing);
}

TEST_F(BriefJobs, HostsAreWrittenByAJobAndTheLastTableIsTheOneThatStays) {
  EXPECT_THAT(host_.hosts, UnorderedElementsAre(Key("web")));
  agent_->jobs().delayed = {Jobs::Pool::brief};
  ASSERT_TRUE(agent_->apply(with_cache("3")));
  agent_->run(5s);
  EXPECT_THAT(host_.hosts, UnorderedElementsAre(Key("web")));
  EXPECT_GE(agent_->jobs().release(), 1U);
  agent_->run(20s);
  EXPECT_THAT(host_.hosts, UnorderedElementsAre(Key("web"), Key("cache")));
}

}  // namespace
}  // namespace holdfast::test
