#include "deploy/plan/staging.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/plan_world.hpp"

namespace holdfast::test {
namespace {

using namespace deploy::plan;
using namespace std::chrono_literals;

TEST(Staging, OnlyWhatVerifiedBytesSayIsTheDocumentsFault) {
  const std::set<Errc> proven{Errc::platform,        Errc::media_type,         Errc::too_large,
                              Errc::diffid_mismatch, Errc::digest_unsupported, Errc::policy};
  for (std::size_t i = 0; i < kErrcCount; ++i) {
    const auto value = static_cast<Errc>(i);
    EXPECT_EQ(staging_fault(value) == StagingFault::document, proven.contains(value))
        << code(value);
  }
}

/// A rollout in staging whose one image is in this state.
struct Stage {
  explicit Stage(Trigger trigger) {
    world.generations[GenerationId{1}] = make_deployment({{"web", {}}});
    world.observed.documents = world.generations;
    world.observed.routing = RoutingTable{};
    world.progress = begin_rollout({}, GenerationId{1}, trigger, "test", "", world.now);
  }
  Decision decide() {
    auto made = deploy::plan::decide(world.progress, world.observed,
                                     Settings{proto::Subnet{0x0A5A0000, 16}}, world.now);
    world.progress = made.progress;
    return made;
  }
  ImageView& image() {
    const auto& web = world.generations.at(GenerationId{1})->services.at(ServiceName{"web"});
    return world.observed.images[web.image.digest];
  }
  PlanWorld world{1};
};

TEST(Staging, WhatTheHostLacksIsNotTheDocumentsFault) {
  const auto of_host = start_failure(
      ServiceName{"web"},
      Error{Errc::host, "volume source /srv/x does not exist"}.hint("mkdir -p /srv/x"));
  EXPECT_TRUE(of_host.passing);
  EXPECT_EQ(of_host.evidence.at("next"), "mkdir -p /srv/x, then apply it again");
  const auto of_document =
      start_failure(ServiceName{"web"}, Error{Errc::runtime, "no such command"}.hint("repair it"));
  EXPECT_FALSE(of_document.passing);
  EXPECT_EQ(of_document.evidence.at("next"), "repair it");
}

TEST(Staging, AFailureIsPassingOrTheDocumentsByItsCode) {
  for (const auto value : {Errc::not_found, Errc::digest_mismatch, Errc::platform}) {
    Stage stage{Trigger::apply};
    stage.image() = {.state = ImageView::State::failed,
                     .manifest = {},
                     .size = {},
                     .error = Error{value, "no"},
                     .retry_at = {},
                     .attempts = kApplyPullTries};
    const auto made = stage.decide();
    ASSERT_TRUE(made.finished) << code(value);
    EXPECT_EQ(made.quarantine.has_value(), value == Errc::platform) << code(value);
  }
}

TEST(Staging, TheSmallerMaxSizeOfHostAndDocumentGoesWithThePullAndHoldsForWhatIsHere) {
  const Settings host{
      .service_subnet = {0x0A5A0000, 16},
      .drift = {},
      .images = {.require_semver_tag = false, .require_signature = {}, .max_size = Bytes{100}}};
  for (const auto trigger : {Trigger::apply, Trigger::source, Trigger::rollback}) {
    Stage stage{trigger};
    auto document = *stage.world.generations.at(GenerationId{1});
    document.image_policy.max_size = Bytes{50};
    stage.world.observed.documents[GenerationId{1}] =
        std::make_shared<const proto::Deployment>(document);
    const bool back = trigger == Trigger::rollback;
    const auto asked =
        deploy::plan::decide(stage.world.progress, stage.world.observed, host, stage.world.now);
    const auto limit = back ? std::nullopt : std::optional{Bytes{50}};
    EXPECT_THAT(asked.actions, ::testing::Contains(::testing::VariantWith<Pull>(
                                   ::testing::Field(&Pull::max_size, limit))));
    stage.image().state = ImageView::State::present;
    for (const std::uint64_t size : {0U, 50U, 51U}) {
      stage.image().size = Bytes{size};
      const auto made =
          deploy::plan::decide(stage.world.progress, stage.world.observed, host, stage.world.now);
      const bool refused = made.finished && made.finished->failure;
      EXPECT_EQ(refused, !back && size > 50) << size;
      if (!refused) continue;
      EXPECT_EQ(made.finished->failure->code, Errc::policy);
      EXPECT_TRUE(made.quarantine);
    }
  }
}

TEST(Staging, ASourceIsTriedForEver) {
  Stage stage{Trigger::source};
  stage.image() = {.state = ImageView::State::failed,
                   .manifest = {},
                   .size = {},
                   .error = Error{Errc::not_found, "not yet"},
                   .retry_at = {},
                   .attempts = 1'000};
  stage.world.now += 48h;
  const auto made = stage.decide();
  EXPECT_THAT(made.actions, ::testing::Contains(::testing::VariantWith<Pull>(::testing::_)));
  EXPECT_TRUE(stage.world.progress.rollout);
}

TEST(Staging, AnApplyEndsAtItsDeadlineWithoutQuarantine) {
  Stage stage{Trigger::apply};
  stage.image().state = ImageView::State::pulling;  // a kilobyte a second
  stage.world.now += kStagingDeadline - 1s;
  const auto waits = stage.decide();
  ASSERT_TRUE(stage.world.progress.rollout);
  ASSERT_TRUE(waits.wake_at);
  EXPECT_LE(*waits.wake_at, stage.world.now + 1s);
  stage.world.now += 1s;
  const auto made = stage.decide();
  ASSERT_TRUE(made.finished);
  EXPECT_EQ(made.finished->failure->code, Errc::timed_out);
  EXPECT_FALSE(made.quarantine);
}

TEST(Staging, WhatHasStartedNothingGivesWayAndARollbackNever) {
  Stage stage{Trigger::apply};
  EXPECT_TRUE(gives_way(stage.world.progress));
  stage.world.progress.rollout->phase = Phase::waiting;
  EXPECT_TRUE(gives_way(stage.world.progress));
  stage.world.progress.rollout->phase = Phase::starting;
  EXPECT_FALSE(gives_way(stage.world.progress));
  EXPECT_FALSE(gives_way(Stage{Trigger::rollback}.world.progress));
  EXPECT_FALSE(gives_way({}));
}

TEST(Staging, WhetherAFailureWasPassingOutlivesTheAgent) {
  Stage stage{Trigger::apply};
  stage.world.progress.rollout->failure = Failure{Errc::not_found, "web", "404", {}, true};
  const auto read = decode_progress(encode_progress(stage.world.progress), {});
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->rollout->failure->passing);
}

}  // namespace
}  // namespace holdfast::test
