// Hooks, rehearsals and standby through the whole engine, on a simulated host and a real ledger.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "common/os/file.hpp"
#include "tests/support/fake_ports.hpp"
#include "tests/support/memory_ledger.hpp"
#include "tests/support/shop.hpp"

namespace holdfast::test::readiness {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

std::string image(const std::string& name) { return pinned(name, "1.0.0", name); }

std::string document(const std::string& version, const std::string& hooks = "") {
  return shop_of(
      service("web", image(version),
              {kPublished, "update: {soak: 1s, deadline: 5s, drain: 1s, standby: 10m}"}) +
      hooks);
}

std::string hook(const std::string& stage, const std::string& name) {
  return fmt::format("  {}: [{{name: {}, image: \"{}\"}}]\n", stage, name, image(name));
}

class Readiness : public ::testing::Test {
 protected:
  Agent& agent() {
    if (!agent_) agent_ = std::make_unique<Agent>(host_, ledger_, 5U, Milliseconds{2'000});
    return *agent_;
  }
  void kill_agent() { agent_.reset(); }
  void apply(const std::string& text) {
    const auto accepted = agent().apply(text);
    ASSERT_TRUE(accepted) << accepted.error().to_string();
    agent().run(20s);
  }
  [[nodiscard]] std::vector<proto::Entry> entries(proto::EntryKind kind) {
    std::vector<proto::Entry> found;
    for (const auto& row : ledger_.entries(0, 1000).value()) {
      if (row.entry.kind == kind) found.push_back(row.entry);
    }
    return found;
  }
  const proto::api::Status& status() {
    shown_ = agent().snapshot();
    return shown_->status;
  }

  FakeHost host_;
  MemoryLedger ledger_;
  std::unique_ptr<Agent> agent_;
  std::shared_ptr<const deploy::engine::Snapshot> shown_;
};

TEST_F(Readiness, HooksArePulledRunRecordedCountedAndTakenAway) {
  host_.exits = {{"migrate", 0}, {"smoke", 0}};
  apply(document("v1", "hooks:\n" + hook("before", "migrate") + hook("after", "smoke")));
  EXPECT_EQ(status().generation, 1U);
  EXPECT_THAT(host_.created, ElementsAre("migrate", "web", "smoke"));
  EXPECT_TRUE(host_.local_images.contains(proto::Digest::of("migrate")));
  EXPECT_THAT(host_.instances, SizeIs(1));
  EXPECT_THAT(entries(proto::EntryKind::hook_started), SizeIs(2));
  EXPECT_THAT(entries(proto::EntryKind::hook_finished), SizeIs(2));
  EXPECT_EQ((agent().snapshot()->counters.hooks.at({"before", "success"})), 1U);
  EXPECT_THAT(status().drift, IsEmpty());
}

TEST_F(Readiness, AHookThatCannotBeStartedVetoesAndTheHostIsNotUnwellForIt) {
  apply(document("v1"));
  host_.create_errors.emplace("migrate", Error{Errc::user, "no user \"app\" in the image"});
  apply(document("v2", "hooks:\n" + hook("before", "migrate")));
  EXPECT_EQ(status().generation, 1U);
  EXPECT_EQ(status().state.text(), "converged") << status().message;
  ASSERT_THAT(entries(proto::EntryKind::hook_failed), SizeIs(1));
  EXPECT_THAT(entries(proto::EntryKind::hook_failed).front().reason,
              HasSubstr("before hook migrate could not be started: no user"));
  EXPECT_TRUE(agent().snapshot()->records->history.front().quarantined);
}

TEST_F(Readiness, ImagesOfRollbackHooksStayUntilTheHookHasRun) {
  apply(document("v1"));
  host_.exits = {{"smoke", 1}, {"undo", 0}};
  apply(document("v2", "hooks:\n" + hook("after", "smoke") + hook("on_rollback", "undo")));
  EXPECT_EQ(status().generation, 1U);
  EXPECT_THAT(host_.created, Contains("undo"));
  EXPECT_THAT(entries(proto::EntryKind::hook_finished), SizeIs(1));
}

TEST_F(Readiness, ARollbackHookOutlivesTheAgentThatBeganIt) {
  apply(document("v1"));
  apply(document("v2", "hooks:\n" + hook("on_rollback", "undo")));
  ASSERT_TRUE(agent().rollback());
  agent().run(100ms);
  ASSERT_THAT(host_.created, Contains("undo"));
  kill_agent();
  agent().run(1s);
  EXPECT_EQ(std::count(host_.created.begin(), host_.created.end(), "undo"), 1);
  EXPECT_THAT(status().message, HasSubstr("on_rollback hook undo of generation 2 runs (1 of 1)"));
  for (auto& [id, instance] : host_.instances) {
    if (instance.service.str() != "undo") continue;
    instance.state = deploy::plan::InstanceState::exited;
    instance.exit = deploy::plan::ExitInfo{0, false, host_.clock.wall()};
  }
  agent().run(5s);
  EXPECT_THAT(entries(proto::EntryKind::hook_finished), SizeIs(1));
  EXPECT_EQ(status().message, "");
  EXPECT_THAT(host_.instances, Not(IsEmpty()));
}

TEST_F(Readiness, ThePlanShowsHooksAndTheirImages) {
  apply(document("v1"));
  const auto plan = finished(agent().core().commands().applies.plan(
      candidate(document("v2", "hooks:\n" + hook("before", "migrate")), "x")));
  ASSERT_TRUE(plan);
  ASSERT_THAT(plan->hooks, SizeIs(1));
  EXPECT_EQ(plan->hooks.front().name, "migrate");
  EXPECT_THAT(plan->images_to_pull, SizeIs(2));
  apply(document("v3", "hooks:\n" + hook("on_rollback", "undo")));
  const auto back = finished(agent().core().commands().rollbacks.plan({0, "", true}));
  ASSERT_TRUE(back);
  ASSERT_THAT(back->hooks, SizeIs(1));
  EXPECT_EQ(back->hooks.front().stage.text(), "on_rollback");
}

TEST_F(Readiness, AMissingSecretFileOfTheTargetIsNamedWhileTheImagesAreHere) {
  const auto scratch = os::TempDir::create("/var/tmp", "readiness");
  ASSERT_TRUE(scratch);
  const auto keys = scratch->path() / "keys";
  const auto key = keys / "token";
  ASSERT_TRUE(os::make_directories(keys));
  ASSERT_TRUE(os::write_atomic(key, "x", 0600, os::Durability::lazy));
  apply(document("v1") + "    secrets: [{name: token, file: " + key.string() + "}]\n");
  apply(document("v2"));
  agent().run(5s);
  ASSERT_TRUE(status().rollback.ready) << status().rollback.reason;
  std::filesystem::rename(keys, scratch->path() / "away");
  agent().run(5s);
  EXPECT_FALSE(status().rollback.ready);
  EXPECT_EQ(status().rollback.generation, 1U);
  EXPECT_THAT(status().rollback.reason,
              AllOf(HasSubstr("generation 1 is not ready"), HasSubstr("secret token of web")));
  std::filesystem::rename(scratch->path() / "away", keys);
  agent().run(5s);
  EXPECT_TRUE(status().rollback.ready) << status().rollback.reason;
}

TEST_F(Readiness, AMissingVolumeSourceOfTheTargetIsNamedToo) {
  const auto scratch = os::TempDir::create("/var/tmp", "readiness");
  ASSERT_TRUE(scratch);
  const auto data = scratch->path() / "data";
  ASSERT_TRUE(os::make_directories(data));
  apply(document("v1") + "    volumes: [{source: " + data.string() + ", target: /data}]\n");
  apply(document("v2"));
  agent().run(5s);
  ASSERT_TRUE(status().rollback.ready) << status().rollback.reason;
  std::filesystem::remove(data);
  agent().run(5s);
  EXPECT_FALSE(status().rollback.ready);
  EXPECT_THAT(status().rollback.reason,
              AllOf(HasSubstr("generation 1 is not ready: volume /data of web"),
                    HasSubstr("does not exist"), HasSubstr("mkdir -p")));
  ASSERT_TRUE(os::make_directories(data));
  agent().run(5s);
  EXPECT_TRUE(status().rollback.ready) << status().rollback.reason;
}

TEST_F(Readiness, WhatTheHostLacksQuarantinesNoDocument) {
  apply(document("v1"));
  host_.create_errors.emplace(
      "web", Error{Errc::host, "volume source /srv/x does not exist"}.hint("mkdir -p /srv/x"));
  apply(document("v2"));
  EXPECT_EQ(status().generation, 1U);
  EXPECT_TRUE(agent().snapshot()->records->quarantine.empty());
  const auto failed = entries(proto::EntryKind::failed);
  ASSERT_FALSE(failed.empty());
  EXPECT_EQ(failed.back().reason, "volume source /srv/x does not exist");
  EXPECT_EQ(failed.back().detail.at("next"), "mkdir -p /srv/x, then apply it again");
  host_.create_errors.clear();
  apply(document("v2"));
  EXPECT_GT(status().generation, 1U) << "the printed next step works";
  EXPECT_EQ(status().state.text(), "converged");
}

TEST_F(Readiness, ALowDiskIsAStateAndASentenceUntilThereIsRoom) {
  apply(document("v1"));
  host_.disk = os::DiskSpace{.free_bytes = 900U << 20, .size_bytes = 10ULL << 30};
  agent().run(5s);
  ASSERT_EQ(status().state.text(), "converged") << status().message;
  host_.disk->free_bytes = 100U << 20;
  agent().run(5s);
  EXPECT_EQ(status().state.text(), "degraded");
  EXPECT_THAT(status().message, AllOf(HasSubstr("disk low"), HasSubstr("image gc")));
  host_.disk->free_bytes = 900U << 20;
  agent().run(5s);
  EXPECT_EQ(status().state.text(), "converged");
}

/// An image's configuration is foreign, and may take milliseconds to parse.
TEST_F(Readiness, TheEngineReadsNoConfigurationOfAnImage) {
  apply(document("v1"));
  apply(document("v2"));
  auto& core = agent().core();
  const proto::api::ApplyRequest again{document("v1"), "x", "", false, true};
  auto candidate = agent().reader().read(again);
  ASSERT_GT(std::exchange(host_.images_read, 0), 0) << "by whoever read the document";
  core.images_changed("", kRoot);
  core.reconcile(deploy::engine::Freshness::fresh);
  ASSERT_TRUE(core.commands().applies.plan(candidate));
  ASSERT_TRUE(core.commands().rollbacks.plan({}));
  ASSERT_TRUE(core.commands().rollbacks.rollback({0, "x", false}, kRoot));
  core.reconcile(deploy::engine::Freshness::fresh);
  EXPECT_EQ(host_.images_read, 0) << "but by jobs";
  agent().run(20s);
  EXPECT_EQ(status().generation, 1U);
}

TEST_F(Readiness, AGenerationWhoseImageCannotBeReadIsNotReady) {
  apply(document("v1"));
  apply(document("v2"));
  host_.unreadable_images.emplace(proto::Digest::of("v1"),
                                  Error{Errc::layer_corrupt, "half of it"});
  agent().run(20s);
  EXPECT_FALSE(status().rollback.ready);
  EXPECT_THAT(status().rollback.reason, HasSubstr("half of it"));
}

TEST_F(Readiness, PlanAndApplySayWhatTheHostLacks) {
  apply(document("v1"));
  host_.image_volumes = {"/data"};
  host_.has_name_server = false;
  host_.cannot_give.emplace("1.0.0", Error{Errc::host, "no init"}.hint("apt install one"));
  const proto::api::ApplyRequest same{document("v1"), "x", "", false, true};
  const auto plan = finished(agent().core().commands().applies.plan(agent().reader().read(same)));
  ASSERT_TRUE(plan);
  EXPECT_THAT(plan->warnings,
              ElementsAre(HasSubstr("no name server"),
                          HasSubstr("web: it will not start here: no init; apt install one"),
                          HasSubstr("/data (VOLUME)")));
  const proto::api::ApplyRequest other{document("v2"), "x", "", false, true};
  const auto accepted = agent().core().commands().applies.apply(agent().reader().read(other), kRoot,
                                                                deploy::plan::Trigger::apply);
  ASSERT_TRUE(accepted);
  EXPECT_THAT(accepted->warnings, ElementsAre(HasSubstr("no name server"), HasSubstr("no init")))
      << "of an image that is not here nothing is known";
}

TEST_F(Readiness, ARehearsalEndsWithAVerdictInTheLedgerTheStatusAndAnEvent) {
  apply(document("v1"));
  apply(document("v2"));
  const auto asked =
      agent().core().commands().rehearsals.rehearse({0, "before the weekend"}, kRoot);
  ASSERT_TRUE(asked) << asked.error().to_string();
  EXPECT_EQ(asked->generation, 1U);
  EXPECT_FALSE(agent().core().commands().rehearsals.rehearse({0, ""}, kRoot));
  agent().run(10s);
  ASSERT_TRUE(status().rehearsal);
  EXPECT_EQ(status().rehearsal->verdict.text(), "passed");
  EXPECT_EQ(status().rehearsal->actor, kRoot.name);
  EXPECT_THAT(host_.created, Contains("web.rehearsal"));
  ASSERT_THAT(entries(proto::EntryKind::rehearsed), SizeIs(1));
  EXPECT_EQ(entries(proto::EntryKind::rehearsed).front().detail.at("verdict"), "passed");
  const auto events = agent().core().events().after(asked->since_event, 100);
  EXPECT_TRUE(std::any_of(events.begin(), events.end(),
                          [](const auto& each) { return each.kind == "rehearsal_result"; }));
  EXPECT_GT(agent().snapshot()->gauges.rehearsal_timestamp, 0);
  EXPECT_EQ(status().generation, 2U);
}

TEST_F(Readiness, ATargetThatCannotStartAnyMoreIsFoundBeforeItIsNeeded) {
  apply(document("v1"));
  apply(document("v2"));
  host_.create_errors.emplace("web.rehearsal", Error{Errc::user, "secret db: no such file"});
  ASSERT_TRUE(agent().core().commands().rehearsals.rehearse({0, ""}, kRoot));
  agent().run(10s);
  EXPECT_EQ(status().rehearsal->verdict.text(), "failed");
  EXPECT_THAT(status().rehearsal->reason, HasSubstr("secret db: no such file"));
  EXPECT_EQ(status().state.text(), "converged");
  EXPECT_EQ(agent().snapshot()->gauges.rehearsal_verdict, "failed");
}

TEST_F(Readiness, TheScheduleOfAgentYamlAsksForRehearsals) {
  host_.rehearse_every = 1h;
  apply(document("v1"));
  EXPECT_FALSE(status().rehearsal);
  apply(document("v2"));
  agent().run(10s);
  ASSERT_TRUE(status().rehearsal);
  EXPECT_EQ(status().rehearsal->verdict.text(), "passed");
  agent().run(30min);
  EXPECT_THAT(entries(proto::EntryKind::rehearsed), SizeIs(1));
  agent().run(40min);
  EXPECT_THAT(entries(proto::EntryKind::rehearsed), SizeIs(2));
}

TEST_F(Readiness, FrozenInstancesGoWhenMemoryIsShort) {
  apply(document("v1"));
  apply(document("v2"));
  ASSERT_THAT(status().standby, SizeIs(1));
  host_.memory.pressure = 19.9;
  agent().run(5s);
  EXPECT_THAT(status().standby, SizeIs(1)) << "below the limit";
  host_.memory.pressure = 20;
  agent().run(5s);
  EXPECT_THAT(status().standby, IsEmpty());
  EXPECT_THAT(host_.instances, SizeIs(1));
  ASSERT_THAT(entries(proto::EntryKind::standby_dropped), SizeIs(1));
  EXPECT_THAT(entries(proto::EntryKind::standby_dropped).front().reason,
              HasSubstr("20.0 % of the last 10 s (limit 20 %)"));
  EXPECT_EQ(agent().snapshot()->counters.standby_dropped.at("memory"), 1U);
}

TEST_F(Readiness, ConnectionsThatOutlastTheirDrainAreRecordedAndCounted) {
  apply(document("v1"));
  host_.connections = 2;
  apply(document("v2"));
  ASSERT_THAT(entries(proto::EntryKind::drained), SizeIs(1));
  const auto drained = entries(proto::EntryKind::drained).front();
  EXPECT_EQ(drained.detail.at("reset_connections"), "2");
  EXPECT_EQ(drained.service, "web");
  EXPECT_EQ(drained.generation, 1U);
  EXPECT_EQ(agent().snapshot()->counters.reset_connections, 2U);
}

TEST_F(Readiness, WithoutPressureFiguresTheAvailableMemoryCounts) {
  apply(document("v1"));
  apply(document("v2"));
  host_.memory.available = Bytes{64U << 20U};
  agent().run(5s);
  EXPECT_THAT(status().standby, SizeIs(1));
  host_.memory.available = Bytes{63U << 20U};
  agent().run(5s);
  EXPECT_THAT(status().standby, IsEmpty());
  EXPECT_THAT(entries(proto::EntryKind::standby_dropped).front().reason,
              HasSubstr("63 MiB are available (limit 64 MiB)"));
}

TEST_F(Readiness, AZeroInAgentYamlKeepsFrozenInstancesWhateverHappens) {
  host_.standby = {0, Bytes{0}};
  apply(document("v1"));
  apply(document("v2"));
  host_.memory.pressure = 99;
  agent().run(5s);
  EXPECT_THAT(status().standby, SizeIs(1));
}

TEST_F(Readiness, TheWayBackIsKeptHoweverManyGenerationsWereRolledBackFrom) {
  agent_ = std::make_unique<Agent>(host_, ledger_, 2U, Milliseconds{2'000});
  apply(document("v1"));
  for (int i = 2; i < 8; ++i) {
    apply(document("v" + std::to_string(i)));
    ASSERT_EQ(status().rollback.generation, 1U);
    ASSERT_TRUE(status().rollback.ready) << status().rollback.reason;
    ASSERT_TRUE(agent().rollback()) << i;
    agent().run(20s);
    EXPECT_EQ(status().generation, 1U);
  }
}

TEST_F(Readiness, TheDocumentOfAnOldGenerationIsReadByAJobWhenSomebodyGoesBackToIt) {
  agent_ = std::make_unique<Agent>(host_, ledger_, 1U, Milliseconds{2'000});
  for (int i = 1; i < 6; ++i) apply(document("v" + std::to_string(i)));
  host_.local_images.insert(proto::Digest::of("v1"));
  agent().jobs().delayed = {deploy::engine::Jobs::Pool::document};
  const auto at_first = agent().rollback(1);
  ASSERT_FALSE(at_first);
  EXPECT_EQ(at_first.error().code(), Errc::busy) << "its document is being read";
  agent().run(1s);
  EXPECT_EQ(status().generation, 5U) << "the engine goes on meanwhile";
  agent().jobs().delayed.clear();
  agent().jobs().release();
  agent().run(20s);
  EXPECT_EQ(status().generation, 1U) << "it was asked for once";
  EXPECT_EQ(status().state.text(), "converged") << status().message;
}

TEST_F(Readiness, ImagesAreNotCollectedBeforeAllDocumentsThatHoldThemAreRead) {
  agent_ = std::make_unique<Agent>(host_, ledger_, 1U, Milliseconds{2'000});
  for (int i = 1; i < 4; ++i) apply(document("v" + std::to_string(i)));
  ASSERT_TRUE(agent().core().commands().standby.drop({"no instance holds an image"}, kRoot));
  agent().run(100ms);
  ASSERT_TRUE(agent().rollback());
  agent().run(100ms);  // the new instance soaks
  agent().jobs().delayed = {deploy::engine::Jobs::Pool::document};
  host_.local_images.insert(proto::Digest::of("v1"));
  agent().run(20s);  // v1 is the way back now, and nobody has its document yet
  EXPECT_TRUE(host_.local_images.contains(proto::Digest::of("v1")));
  agent().jobs().delayed.clear();
  agent().jobs().release();
  agent().run(20s);
  EXPECT_TRUE(host_.local_images.contains(proto::Digest::of("v1")));
  EXPECT_EQ(status().rollback.generation, 1U);
  EXPECT_TRUE(status().rollback.ready) << status().rollback.reason;
}

TEST_F(Readiness, AnOperatorCanGiveUpFrozenInstancesAndTheRollbackIsColdThen) {
  apply(document("v1"));
  apply(document("v2"));
  const auto dropped = agent().core().commands().standby.drop({"memory is needed"}, kRoot);
  ASSERT_TRUE(dropped);
  ASSERT_THAT(dropped->dropped, SizeIs(1));
  EXPECT_EQ(dropped->dropped.front().service, "web");
  agent().run(5s);
  EXPECT_THAT(host_.instances, SizeIs(1));
  EXPECT_EQ(entries(proto::EntryKind::standby_dropped).front().actor, kRoot.name);
  const auto again = agent().core().commands().standby.drop({""}, kRoot);
  ASSERT_TRUE(again);
  EXPECT_THAT(again->dropped, IsEmpty());
  ASSERT_TRUE(agent().rollback());
  agent().run(5s);
  EXPECT_EQ(status().generation, 1U);
}

}  // namespace
}  // namespace holdfast::test::readiness
