// What is shown follows from what is known, also while a document has yet to be read.
#include "deploy/engine/status.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/plan_world.hpp"

namespace holdfast::deploy::engine {
namespace {

using ::testing::HasSubstr;

class StatusOf : public ::testing::Test {
 protected:
  StatusOf() {
    progress_.current = plan::GenerationId{1};
    progress_.stopped[plan::ServiceName{"web"}] = {"root (uid 0)", "a disk", {}, {}};
  }
  proto::api::Status status() {
    return make_status({.progress = progress_,
                        .observed = observed_,
                        .counters = counters_,
                        .drift = drift_,
                        .records = records_,
                        .rollback = rollback_,
                        .refusal = refusal_,
                        .boot = kAgentStart + running_,
                        .since_boot = kAgentStart});
  }
  /// One service with a probe, whose instance runs and serves since `started`.
  plan::Health& serves_since(BootTime started) {
    progress_.stopped.clear();
    observed_.documents[plan::GenerationId{1}] = test::make_deployment({{"web", {}}});
    const auto digest = proto::Digest::of("web");
    const plan::InstanceId id{"web-1"};
    progress_.serving.insert_or_assign(plan::ServiceName{"web"}, id);
    plan::ObservedInstance seen{.id = id,
                                .service = plan::ServiceName{"web"},
                                .run_hash = digest,
                                .image = digest,
                                .manifest = digest,
                                .state = plan::InstanceState::running,
                                .pid = 7,
                                .started_boot = started};
    return observed_.instances.emplace(id, plan::InstanceView{std::move(seen), {}})
        .first->second.health;
  }
  static constexpr BootTime kAgentStart{std::chrono::hours{1}};
  Milliseconds running_{10};
  plan::Progress progress_;
  plan::Observed observed_;
  Counters counters_;
  std::map<std::string, DriftLog::Item> drift_;
  Records records_;
  proto::api::RollbackReadiness rollback_;
  std::optional<Journal::Refusal> refusal_;
};

TEST_F(StatusOf, ADocumentThatIsNotReadYetNamesNoService) {
  const auto shown = status();
  EXPECT_TRUE(shown.services.empty());
  EXPECT_EQ(shown.message, "");
}

TEST_F(StatusOf, AStoppedServiceIsNamedWithWhatStartsIt) {
  observed_.documents[plan::GenerationId{1}] = test::make_deployment({{"web", {}}});
  const auto shown = status();
  ASSERT_EQ(shown.services.size(), 1U);
  EXPECT_EQ(shown.services[0].state.text(), "stopped");
  EXPECT_EQ(shown.state.text(), "converged");
  EXPECT_THAT(shown.message, HasSubstr("holdfast start web"));
}

TEST_F(StatusOf, WhatRanBeforeTheAgentStartedIsNotUnwellBeforeItCouldBeAsked) {
  auto& health = serves_since(kAgentStart - std::chrono::minutes{1});
  auto shown = status();
  EXPECT_EQ(shown.state.text(), "converged") << shown.message;
  ASSERT_EQ(shown.services.size(), 1U);
  EXPECT_THAT(shown.services[0].detail, HasSubstr("has yet to ask it"));

  running_ = Milliseconds{2'000};  // long enough for an answer
  EXPECT_EQ(status().state.text(), "degraded");
  running_ = Milliseconds{10};
  health.judged = BootTime{std::chrono::seconds{5}};  // it was asked
  health.state = plan::HealthState::starting;
  EXPECT_EQ(status().state.text(), "degraded");
  health.state = plan::HealthState::healthy;
  EXPECT_EQ(status().state.text(), "converged");
}

TEST_F(StatusOf, WhatStartsBesideTheAgentIsUnwellUntilItAnswers) {
  serves_since(kAgentStart);
  EXPECT_EQ(status().state.text(), "degraded");
}

}  // namespace
}  // namespace holdfast::deploy::engine
