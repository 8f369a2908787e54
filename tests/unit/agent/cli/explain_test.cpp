// What `why` says, from the agent's JSON.
#include "agent/cli/render/explain.hpp"

#include <gmock/gmock.h>

#include "proto/api/codec.hpp"
#include "tests/unit/agent/cli/look.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

api::ServiceStatus service(proto::Word<api::ServiceState> state,
                           proto::Word<api::HealthState> health) {
  api::ServiceStatus made;
  made.name = "web";
  made.state = state;
  made.health = health;
  made.instance = "web-7";
  made.since = "2026-11-23T11:59:00Z";
  return made;
}

api::Status host(const api::ServiceStatus& service) {
  api::Status made;
  made.deployment = "shop";
  made.generation = 2;
  made.state = api::DeploymentState::converged;
  made.services = {service};
  return made;
}

api::LedgerEntry entry(std::string kind, std::string time, std::string reason,
                       std::map<std::string, std::string> detail = {}) {
  api::LedgerEntry made;
  made.kind = std::move(kind);
  made.time = "2026-11-23T" + time + "Z";
  made.reason = std::move(reason);
  made.generation = 3;
  made.service = "web";
  made.actor = "agent";
  made.detail = std::move(detail);
  return made;
}

std::string view(const api::Status& status, const std::vector<api::LedgerEntry>& recent = {}) {
  const auto one = explain_service(status, status.services.front(), recent, kNow);
  return why_view({&one, 1}, kTerminal);
}

TEST(Why, AServiceThatIsAsItShouldBeSaysSoInOneLine) {
  EXPECT_EQ(view(host(service("running", "healthy"))), "✓ web has run for 1m and is healthy\n");
  EXPECT_EQ(view(host(service("running", "none"))),
            "✓ web has run for 1m; no health check is declared\n");
  EXPECT_EQ(view(host(service("completed", "none"))), "✓ web has done its work and ended\n");
}

TEST(Why, ACrashLoopTellsHowOftenSinceWhenItsLastWordsAndTheAdvice) {
  auto crashing = service("backoff", "none");
  crashing.detail = "crash loop: started again 3 times, last exit code 3, next try in 600ms";
  const auto said = [](std::string words, std::string next = {}) {
    return std::map<std::string, std::string>{
        {"instance", "web-7"}, {"log_tail", std::move(words)}, {"next", std::move(next)}};
  };
  EXPECT_EQ(
      view(host(crashing),
           {entry("restarted", "11:00:00", "exited with code 1", {{"instance", "web-6"}}),
            entry("restarted", "11:58:00", "exited with code 3", said("a\nb\nc\nd\ne\nf\n")),
            entry("restarted", "11:59:00", "exited with code 3",
                  said("no config\x1b[31m", "name it in `configs`"))}),
      "✗ web does not run: it ended, or could not be started: crash loop: started again 3 times, "
      "last exit code 3, next try in 600ms\n"
      "  - it was started again 2 times, first 2m ago, last 1m ago: exited with code 3\n"
      "      | no config\\x1b[31m\n"
      "    next: name it in `configs`\n");
  const auto words =
      view(host(crashing), {entry("restarted", "11:58:00", "killed", said("a\nb\nc\nd\ne\nf\n"))});
  EXPECT_THAT(
      words,
      HasSubstr(
          "      | b\n      | c\n      | d\n      | e\n      | f\n    next: holdfast logs web\n"));
}

TEST(Why, ACrashLoopIsBadAlsoBetweenTwoTriesAndAnOperatorsRestartIsNone) {
  auto running = service("running", "none");
  running.crash_looping = true;
  const auto crash = entry("restarted", "11:58:00", "exited with code 3", {{"instance", "web-7"}});
  std::vector<api::LedgerEntry> recent{crash, crash, crash};
  const auto status = host(running);
  EXPECT_EQ(explain_service(status, running, recent, kNow).standing, Standing::bad);
  for (auto& one : recent) one.actor = "root (uid 0)";
  running.crash_looping = false;
  const auto by_hand = explain_service(status, running, recent, kNow);
  EXPECT_EQ(by_hand.standing, Standing::good);
  EXPECT_THAT(by_hand.reasons, IsEmpty());
}

TEST(Why, AnEmptyHostWhoseFirstChangeFailedIsNotWell) {
  api::Status status;
  status.state = api::DeploymentState::empty;
  std::vector<api::LedgerEntry> recent{entry("failed", "11:50:00", "the registry is away")};
  auto one = explain_host(status, recent, kNow);
  EXPECT_EQ(one.standing, Standing::bad);
  ASSERT_EQ(one.reasons.size(), 2U);
  EXPECT_EQ(one.reasons.back().what, "nothing runs here yet");
  recent.push_back(entry("quarantined", "11:50:01", "web was not healthy"));
  one = explain_host(status, recent, kNow);
  EXPECT_EQ(one.reasons.back().what, "that document is not taken again as it is");
  EXPECT_EQ(one.reasons.back().next, "holdfast apply FILE");
  status.source = api::SourceStatus{};
  status.source->state = api::SourceState::refused;
  EXPECT_EQ(explain_host(status, recent, kNow).reasons.size(), 3U) << "the source is told too";
  EXPECT_THAT(explain_absent(status, "web", recent, kNow).sentence, HasSubstr("does not run"));
}

TEST(Why, AChangeThatFailedByItIsToldUntilOneGoesWell) {
  std::vector<api::LedgerEntry> recent{
      entry("failed", "11:50:00", "web was not healthy within 3.0s: GET :8080/healthz → 500",
            {{"probe", "GET :8080/healthz → 500"}, {"log_tail", "no database"}}),
      entry("rolled_back", "11:50:01", "web was not healthy", {{"failed_generation", "3"}})};
  EXPECT_EQ(view(host(service("running", "healthy")), recent),
            "✓ web has run for 1m and is healthy\n"
            "  - generation 3 failed 10m ago and was rolled back: web was not healthy within 3.0s: "
            "GET :8080/healthz → 500\n"
            "      | probe: GET :8080/healthz → 500\n"
            "      | no database\n"
            "    next: holdfast show 3\n");
  for (const auto* newer : {"good", "rollback_started", "apply_unchanged"}) {
    auto later = recent;
    later.push_back(entry(newer, "11:55:00", ""));
    EXPECT_EQ(view(host(service("running", "healthy")), later),
              "✓ web has run for 1m and is healthy\n")
        << newer;
  }
  auto other = recent;
  other.back().detail["failed_generation"] = "2";
  EXPECT_THAT(view(host(service("running", "healthy")), other), HasSubstr("failed 10m ago: web"));
}

TEST(Why, ARollbackThatFailedIsNoFaultOfTheGenerationThatItLeadsTo) {
  auto begun = entry("rollback_started", "11:49:00", "back");
  const std::vector<api::LedgerEntry> recent{
      begun, entry("failed", "11:50:00", "web was not healthy"),
      entry("rolled_back", "11:50:01", "web was not healthy", {{"failed_generation", "3"}})};
  EXPECT_THAT(view(host(service("running", "healthy")), recent),
              HasSubstr("the rollback to generation 3 failed 10m ago and changed nothing: web"));
}

TEST(Why, OfAnotherServiceNothingIsTold) {
  auto other = entry("restarted", "11:58:00", "exited with code 3", {{"instance", "web-7"}});
  other.service = "db";
  auto failed = entry("failed", "11:58:00", "db was not healthy");
  failed.service = "db";
  EXPECT_EQ(view(host(service("running", "healthy")), {other, failed}),
            "✓ web has run for 1m and is healthy\n");
}

TEST(Why, DriftIsACauseAlsoOfWhatRuns) {
  auto status = host(service("running", "healthy"));
  status.drift = {{"web", proto::DriftKind::limits, "2026-11-23T11:59:00Z", "memory.max is 1 GiB",
                   proto::DriftAction::report, "holdfast drift web"}};
  EXPECT_EQ(view(status),
            "✗ web has run for 1m and is healthy\n"
            "  - what runs differs from what is declared (limits): memory.max is 1 GiB\n"
            "    next: holdfast drift web\n");
  status.drift.front().kind = proto::DriftKind::writes;
  EXPECT_EQ(explain_service(status, status.services.front(), {}, kNow).standing, Standing::good)
      << "writes that are told and nothing more are no fault, as in status";
  status.drift.front().service = "left-over";  // of what nobody declared
  EXPECT_THAT(explain_service(status, status.services.front(), {}, kNow).reasons, IsEmpty());
  const auto of_host = explain_host(status, {}, kNow);
  ASSERT_EQ(of_host.reasons.size(), 1U);
  EXPECT_THAT(of_host.reasons.front().what, HasSubstr("memory.max is 1 GiB"));
}

TEST(Why, WhatItWaitsForIsThatOfTheRollout) {
  auto status = host(service("running", "starting"));
  status.rollout = api::RolloutStatus{
      3, api::RolloutPhase::checking, 12, "web: GET :8080/healthz → 503 (1 of 3)", {}, "web"};
  EXPECT_EQ(view(status),
            "! web has run for 1m, and its health check has not passed yet\n"
            "  - generation 3 has been rolled out for 12.0s, now checking; it waits for web: GET "
            ":8080/healthz → 503 (1 of 3)\n"
            "    next: holdfast events -f\n");
  status.services.push_back(service("running", "healthy"));
  status.services.back().name = "db";
  EXPECT_THAT(explain_service(status, status.services.back(), {}, kNow).reasons, IsEmpty())
      << "it waits for web";
  status.services.back().state = api::ServiceState::pending;
  EXPECT_EQ(explain_service(status, status.services.back(), {}, kNow).reasons.size(), 1U)
      << "it waits for the rollout";
  status.services.back().state = api::ServiceState::running;
  status.rollout->waiting_for = "pull web:2.0.0: manifest unknown";
  status.rollout->service.clear();
  EXPECT_EQ(explain_service(status, status.services.back(), {}, kNow).reasons.size(), 1U)
      << "what is of no service alone concerns all";
  status.rollout = api::RolloutStatus{
      3, api::RolloutPhase::waiting, 3600, "the window opens", "2026-11-23T22:00:00Z", {}};
  EXPECT_THAT(view(status), HasSubstr("generation 3 waits to be rolled out: the window opens, "
                                      "begins 2026-11-23T22:00:00Z\n"));
}

TEST(Why, EveryStateHasASentenceAndNoBadOneIsLeftWithoutANextStep) {
  for (const auto word : proto::Word<api::ServiceState>::kAll)
    for (const auto health : proto::Word<api::HealthState>::kAll) {
      const auto status = host(service(proto::Word<api::ServiceState>::read(word),
                                       proto::Word<api::HealthState>::read(health)));
      const auto one = explain_service(status, status.services.front(), {}, kNow);
      EXPECT_NE(one.sentence, "is " + std::string{word});
      if (one.standing != Standing::bad) continue;
      ASSERT_FALSE(one.reasons.empty()) << word;
      EXPECT_FALSE(one.reasons.front().next.empty()) << word;
    }
  const auto stopped = view(host(service("stopped", "none")));
  EXPECT_THAT(stopped, HasSubstr("! web was stopped by an operator"));
  EXPECT_THAT(stopped, HasSubstr("next: holdfast start web"));
}

TEST(Why, AServiceThatNeverCameToRunIsExplainedByTheChangeThatFailed) {
  auto failed = entry("failed", "11:50:00", "api was not healthy");
  failed.service = "api";
  const auto status = host(service("running", "healthy"));
  const std::vector<api::LedgerEntry> recent{failed};
  const auto one = explain_absent(status, "api", recent, kNow);
  EXPECT_EQ(why_view({&one, 1}, kTerminal),
            "✗ api is no part of generation 2, which runs\n"
            "  - generation 3 failed 10m ago: api was not healthy\n"
            "    next: holdfast show 3\n");
  EXPECT_THAT(explain_absent(status, "nothing", recent, kNow).reasons, IsEmpty());
}

TEST(Why, TheHostNamesWhatHoldsItUp) {
  auto status = host(service("running", "healthy"));
  const auto good = explain_host(status, {}, kNow);
  EXPECT_EQ(why_view({&good, 1}, kTerminal), "✓ this host is converged\n");
  status.state = api::DeploymentState::empty;
  EXPECT_EQ(explain_host(status, {}, kNow).reasons.front().next, "holdfast apply FILE");
  status.state = api::DeploymentState::held;
  status.message = "held by root";
  status.hold = api::HoldStatus{"root (uid 0)", "release freeze", "2026-11-23T09:00:00Z",
                                "2026-11-23T18:00:00Z"};
  status.source = api::SourceStatus{};
  status.source->source = "https://config.example.com/shop";
  status.source->state = api::SourceState::refused;
  status.source->last_success = "2026-11-23T11:00:00Z";
  status.source->refusal =
      api::ErrorBody{"E_SIG_INVALID", "the signature is not of a known key", ""};
  status.incomplete = {"metrics are not served: port 9472 is taken"};
  status.rollback = {1, false, "the image of web is gone"};
  const auto one = explain_host(status, {}, kNow);
  EXPECT_EQ(
      why_view({&one, 1}, kTerminal),
      "! this host is held: held by root\n"
      "  - changes have been held by root (uid 0) for 3h, until 2026-11-23T18:00:00Z: release "
      "freeze\n"
      "    next: holdfast resume\n"
      "  - the source https://config.example.com/shop is refused, last good 1h ago\n"
      "      | the signature is not of a known key (E_SIG_INVALID)\n"
      "    next: holdfast sync\n"
      "  - metrics are not served: port 9472 is taken\n"
      "    next: mend what agent.yaml names; the agent tries again by itself\n"
      "  - a rollback to generation 1 is not ready: the image of web is gone\n");
}

TEST(Why, AsJsonItIsAListOfWhatIsExplained) {
  const auto status = host(service("stopped", "none"));
  const auto one = explain_service(status, status.services.front(), {}, kNow);
  EXPECT_EQ(why_json({&one, 1}),
            R"([{"service":"web","sentence":"was stopped by an operator","standing":"waiting",)"
            R"("reasons":[{"what":"it stays so until it is started","evidence":[],)"
            R"("next":"holdfast start web"}]}])");
}

}  // namespace
}  // namespace holdfast::agent::cli
