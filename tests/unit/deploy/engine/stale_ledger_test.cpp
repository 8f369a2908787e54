#include "deploy/engine/state/stale_ledger.hpp"

#include <gtest/gtest.h>

namespace holdfast::deploy::engine {
namespace {

const plan::ServiceName kWeb{"web"};
const plan::InstanceId kServing{"web-00000000-1"};
const plan::InstanceId kOther{"web-00000000-2"};

class StaleLedger : public ::testing::Test {
 protected:
  StaleLedger() {
    progress_.serving[kWeb] = kServing;
    observed_.routing = plan::RoutingTable{};
  }
  [[nodiscard]] bool safe(const plan::Action& action, bool unjournaled = false) const {
    return safe_with_stale_ledger(action, progress_, observed_, unjournaled);
  }
  plan::Progress progress_;
  plan::Observed observed_;
};

TEST_F(StaleLedger, NothingThatMayServeIsStoppedOrRemoved) {
  EXPECT_FALSE(safe(plan::Stop{kOther, kWeb}));
  EXPECT_TRUE(safe(plan::Stop{kServing, kWeb})) << "to be started again";
  EXPECT_FALSE(safe(plan::Remove{kServing, kWeb}, true));
}

TEST_F(StaleLedger, WhatEndedIsStartedAgainAndProbed) {
  EXPECT_TRUE(safe(plan::RestartProcess{kServing, kWeb}));
  EXPECT_TRUE(safe(plan::ProbeNow{kServing, kWeb, {}}));
}

TEST_F(StaleLedger, ATableThatIsThereIsNotReplacedButByARollback) {
  EXPECT_FALSE(safe(plan::Route{}));
  EXPECT_TRUE(safe(plan::Route{}, true));
  observed_.routing.reset();
  EXPECT_TRUE(safe(plan::Route{}));
}

TEST_F(StaleLedger, AnAlteredTableLeadsToWhereItLedBefore) {
  plan::RoutingTable stale;
  stale.services[1] = 10;
  plan::RoutingTable before;
  before.services[1] = 20;
  const auto led = [&](bool unjournaled) {
    std::vector<plan::Action> actions{plan::Route{stale}, plan::Remove{kOther, kWeb}};
    restrain(actions, progress_, observed_, unjournaled);
    EXPECT_EQ(actions.size(), 1U) << "nothing is removed";
    return std::get<plan::Route>(actions.front()).table;
  };
  observed_.routing.reset();
  EXPECT_EQ(led(false), stale) << "it was never seen whole";
  observed_.last_routing = before;
  EXPECT_EQ(led(false), before);
  EXPECT_EQ(led(true), stale) << "an operator said where to";
}

TEST_F(StaleLedger, NothingIsCreatedBesideWhatRuns) {
  EXPECT_TRUE(safe(plan::Create{kOther, kWeb, {}}));
  plan::ObservedInstance seen{.id = kServing,
                              .service = kWeb,
                              .run_hash = proto::Digest::of("run"),
                              .image = proto::Digest::of("image"),
                              .manifest = proto::Digest::of("manifest"),
                              .state = plan::InstanceState::running};
  observed_.instances.emplace(kServing, plan::InstanceView{std::move(seen), {}});
  EXPECT_FALSE(safe(plan::Create{kOther, kWeb, {}}));
}

}  // namespace
}  // namespace holdfast::deploy::engine
