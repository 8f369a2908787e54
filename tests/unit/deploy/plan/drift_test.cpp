#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/plan_world.hpp"

namespace holdfast::test {
namespace {

using namespace deploy::plan;
using proto::DriftAction;
using proto::DriftKind;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::VariantWith;

/// A converged host with one service, whose instance can be made to deviate.
struct DriftWorld {
  PlanWorld world{1};
  Settings settings{.service_subnet = {0x0A5A0000, 16}, .drift = {}};

  explicit DriftWorld(proto::Restart restart = proto::Restart::always) {
    auto deployment =
        std::make_shared<proto::Deployment>(*make_deployment({{"web", {.port = 80}}}));
    deployment->services.begin()->second.restart = restart;
    world.apply(std::move(deployment));
    EXPECT_TRUE(world.settle());
  }
  ObservedInstance& web() {
    return world.observed.instances.at(world.progress.serving.at(ServiceName{"web"})).seen;
  }
  /// Another instance of the service, at an address of its own.
  InstanceView& another() {
    auto view = world.observed.instances.begin()->second;
    view.seen.id = InstanceId{"web-deadbeef-99"};
    view.seen.address += 100;
    return world.observed.instances.insert_or_assign(view.seen.id, view).first->second;
  }
  std::vector<Drift> drift() const { return classify(world.progress, world.observed, settings); }
  Decision decide() {
    auto made = deploy::plan::decide(world.progress, world.observed, settings, world.now);
    world.progress = made.progress;
    std::erase_if(made.actions,
                  [](const Action& action) { return std::holds_alternative<ProbeNow>(action); });
    return made;
  }
};

TEST(Drift, WhatCanBePutRightWithoutAStopIsRepairedUnlessSomebodySaysOtherwise) {
  DriftWorld host;
  EXPECT_THAT(host.decide().actions, IsEmpty());
  host.web().deviations = {{DriftKind::limits, "memory is 1 GiB, not 64 MiB", true}};
  EXPECT_THAT(host.decide().actions, ElementsAre(VariantWith<Enforce>(Enforce{host.web().id})));
  host.settings.drift.kinds[DriftKind::limits] = DriftAction::report;
  EXPECT_THAT(host.decide().actions, IsEmpty());
  ASSERT_THAT(host.drift(), SizeIs(1));
  EXPECT_EQ(host.drift().front().action, DriftAction::report);
  EXPECT_THAT(host.drift().front().next, HasSubstr("drift.limits: repair"));
}

TEST(Drift, WhatNeedsAStopIsReportedUnlessRepairIsWritten) {
  for (const auto kind : {DriftKind::mounts, DriftKind::secret}) {
    DriftWorld host;
    host.web().deviations = {{kind, "changed"}};
    EXPECT_THAT(host.decide().actions, IsEmpty());
    host.settings.drift.fallback = DriftAction::repair;
    EXPECT_THAT(host.decide().actions, ElementsAre(VariantWith<Stop>(::testing::_)));
    host.web().deviations.clear();
    host.web().state = InstanceState::exited;
    host.web().exit = ExitInfo{143, false, {}};
    EXPECT_THAT(host.decide().actions, ElementsAre(VariantWith<RestartProcess>(::testing::_)))
        << "at once: it was stopped for this";
  }
}

TEST(Drift, AServiceStoppedToBeMendedIsStartedAlsoWhereItsRuleIsNeverToRestart) {
  DriftWorld host{proto::Restart::never};
  host.settings.drift.fallback = DriftAction::repair;
  host.web().deviations = {{DriftKind::secret, "password changed"}};
  EXPECT_THAT(host.decide().actions, Contains(VariantWith<Stop>(::testing::_)));
  host.web().state = InstanceState::exited;
  host.web().exit = ExitInfo{0, false, {}};
  host.web().deviations.clear();
  EXPECT_THAT(host.decide().actions, Contains(VariantWith<RestartProcess>(::testing::_)));
  ++host.web().starts;
  EXPECT_THAT(host.decide().actions, IsEmpty()) << "once: its own end is its own affair";
}

TEST(Drift, MendingTheSameServiceAgainWaitsLikeARestart) {
  DriftWorld host;
  host.settings.drift.fallback = DriftAction::repair;
  host.web().deviations = {{DriftKind::writes, "/var/x"}};
  EXPECT_THAT(host.decide().actions, Contains(VariantWith<Create>(::testing::_)));
  auto anew = host.world.observed.instances.begin()->second;
  anew.seen.id = host.world.progress.serving.at(ServiceName{"web"});
  host.world.observed.instances.emplace(anew.seen.id, anew);
  const auto again = host.decide();
  EXPECT_THAT(again.actions, ::testing::Not(Contains(VariantWith<Create>(::testing::_))));
  EXPECT_EQ(again.wake_at.value_or(BootTime{}) <= host.world.now + Milliseconds{1000}, true);
}

TEST(Drift, ANewInstanceTakesThePlaceOfOneWithoutItsNetwork) {
  DriftWorld host;
  const auto before = host.web().id;
  host.web().deviations = {{DriftKind::network, "its address is gone"}};
  EXPECT_THAT(host.decide().actions, Contains(VariantWith<Create>(::testing::_)));
  EXPECT_NE(host.world.progress.serving.at(ServiceName{"web"}), before);
  EXPECT_TRUE(host.world.progress.released.contains(before));
}

TEST(Drift, APinThatWasLostIsPutBackUnderTheRunningProcess) {
  DriftWorld host;
  const auto before = host.web().id;
  host.web().deviations = {{DriftKind::network, "its namespace is no longer pinned", true}};
  EXPECT_THAT(host.decide().actions, ElementsAre(VariantWith<Enforce>(Enforce{before})));
  EXPECT_EQ(host.drift().front().next, "its namespace is pinned again");
  host.settings.drift.fallback = DriftAction::report;
  EXPECT_THAT(host.decide().actions, IsEmpty());
}

TEST(Probes, OneUnderWayIsWaitedForUntilTheNextIsDueAsItsAnswerMayWakeNobody) {
  DriftWorld host;
  auto& health = host.world.observed.instances.at(host.web().id).health;
  ASSERT_EQ(health.state, HealthState::healthy);
  health.in_flight = true;
  health.last_probe = host.world.now;
  const auto interval = proto::HealthRule{}.interval;
  EXPECT_EQ(host.decide().wake_at, host.world.now + interval);
  host.world.now += interval + Milliseconds{1};
  const auto late = host.decide().wake_at;
  EXPECT_TRUE(!late || *late > host.world.now) << "a slow answer makes no turn follow the other";
}

TEST(Drift, OneThatVanishedIsMadeAgainUnlessItIsOnlyToBeReported) {
  DriftWorld host;
  host.world.observed.instances.clear();
  host.settings.drift.kinds[DriftKind::missing] = DriftAction::report;
  EXPECT_THAT(host.decide().actions, ::testing::Not(Contains(VariantWith<Create>(::testing::_))));
  host.settings.drift.kinds.clear();
  EXPECT_THAT(host.decide().actions, Contains(VariantWith<Create>(::testing::_)));
}

TEST(Drift, AHostThatWasStartedAnewRunsItsServicesWhateverThePolicy) {
  DriftWorld host;
  host.web().state = InstanceState::broken;
  host.web().earlier_boot = true;
  host.settings.drift.fallback = DriftAction::report;
  EXPECT_THAT(host.decide().actions, Contains(VariantWith<Create>(::testing::_)));
}

TEST(Drift, ATableThatOthersAlteredIsLeftWhereItIsOnlyToBeReported) {
  DriftWorld host;
  host.world.observed.applied = host.world.observed.routing;
  host.world.observed.routing.reset();
  host.settings.drift.kinds[DriftKind::publish] = DriftAction::report;
  EXPECT_THAT(host.decide().actions, IsEmpty());
  EXPECT_EQ(host.drift().front().kind, DriftKind::publish);
  host.world.observed.applied->ports.clear();
  EXPECT_THAT(host.decide().actions, Contains(VariantWith<Route>(::testing::_)))
      << "what we want ourselves is no drift";
}

TEST(Drift, AnInstanceNobodyAskedForIsToldFromOneThatWasGivenUp) {
  DriftWorld host;
  const auto stranger = host.another();
  ASSERT_THAT(host.drift(), SizeIs(1));
  EXPECT_EQ(host.drift().front().kind, DriftKind::orphan);
  host.settings.drift.kinds[DriftKind::orphan] = DriftAction::report;
  EXPECT_THAT(host.decide().actions, IsEmpty());
  host.world.progress.released.try_emplace(stranger.seen.id);
  EXPECT_THAT(host.drift(), IsEmpty());
  EXPECT_THAT(host.decide().actions, Contains(VariantWith<Stop>(::testing::_)));
}

TEST(Drift, WhatWasGivenUpWhileItWasBeingMadeIsNoStrangerEither) {
  // After a power cut in a rollback both sides are recreated; one was ready and switched to first.
  DriftWorld host;
  host.settings.drift.kinds[DriftKind::orphan] = DriftAction::report;
  const auto late = host.another();
  host.world.observed.instances.erase(late.seen.id);
  host.world.progress.retired[late.seen.id] = {};
  host.world.observed.busy.emplace(late.seen.service, late.seen.id);
  (void)host.decide();
  ASSERT_FALSE(host.world.progress.retired.contains(late.seen.id));
  host.world.observed.busy.clear();
  host.another();
  EXPECT_THAT(host.drift(), IsEmpty());
  EXPECT_THAT(host.decide().actions, ElementsAre(VariantWith<Stop>(::testing::_)));
}

TEST(Drift, NothingIsStoppedOrFrozenWhileTrafficIsStillRoutedToIt) {
  // An agent was killed between a rollback's switch and its record: the table is ahead of the
  // ledger.
  DriftWorld host;
  const auto ahead = host.another();
  const auto ours = *host.world.observed.routing;
  for (const bool drained : {false, true}) {
    host.world.progress.released.try_emplace(ahead.seen.id);
    host.world.progress.retired.clear();
    if (drained) host.world.progress.retired[ahead.seen.id] = {.keep = std::chrono::hours{1}};
    for (auto& [key, endpoint] : host.world.observed.routing->ports)
      endpoint.address = ahead.seen.address;
    EXPECT_THAT(host.decide().actions, ElementsAre(VariantWith<Route>(::testing::_)));
    host.world.observed.routing = ours;
    const auto then = host.decide().actions;
    if (drained) {
      EXPECT_THAT(then, ElementsAre(VariantWith<Freeze>(::testing::_)));
    } else {
      EXPECT_THAT(then, ElementsAre(VariantWith<Stop>(::testing::_)));
    }
  }
}

TEST(Drift, PutsAHoldInPlaceOnceForAsLongAsItLasts) {
  DriftWorld host;
  host.settings.drift.kinds[DriftKind::mounts] = DriftAction::hold;
  host.web().deviations = {{DriftKind::mounts, "mounted /srv (tmpfs)"}};
  EXPECT_THAT(host.decide().notes, SizeIs(1));
  ASSERT_TRUE(host.world.progress.hold);
  EXPECT_EQ(host.world.progress.hold->reason, "drift mounts of web: mounted /srv (tmpfs)");
  host.world.progress =
      decode_progress(encode_progress(host.world.progress), host.world.now).value();
  host.world.progress.hold.reset();  // somebody resumed
  (void)host.decide();
  EXPECT_FALSE(host.world.progress.hold);
  host.web().deviations.clear();
  (void)host.decide();
  host.web().deviations = {{DriftKind::mounts, "mounted /srv (tmpfs)"}};
  (void)host.decide();
  EXPECT_TRUE(host.world.progress.hold) << "it came back";
}

TEST(Drift, SeveralFindingsOfAKindAreOneDifference) {
  DriftWorld host;
  host.web().deviations = {{DriftKind::limits, "pids is max"}, {DriftKind::limits, "cpus is 2"}};
  ASSERT_THAT(host.drift(), SizeIs(1));
  EXPECT_EQ(host.drift().front().evidence, "pids is max; cpus is 2");
}

TEST(DriftPolicy, TheHostsWordAndTheKindsWordCountMore) {
  const proto::DriftPolicy silent;
  const proto::DriftPolicy all_hold{.fallback = DriftAction::hold, .kinds = {}};
  const proto::DriftPolicy limits{.fallback = {},
                                  .kinds = {{DriftKind::limits, DriftAction::report}}};
  EXPECT_EQ(proto::drift_action(DriftKind::limits, silent, silent), DriftAction::repair);
  EXPECT_EQ(proto::drift_action(DriftKind::secret, silent, silent), DriftAction::report);
  EXPECT_EQ(proto::drift_action(DriftKind::limits, silent, all_hold), DriftAction::hold);
  EXPECT_EQ(proto::drift_action(DriftKind::limits, limits, all_hold), DriftAction::report);
  EXPECT_EQ(proto::drift_action(DriftKind::secret, limits, all_hold), DriftAction::hold);
  EXPECT_EQ(proto::drift_action(DriftKind::limits, all_hold, limits), DriftAction::hold);
}

}  // namespace
}  // namespace holdfast::test
