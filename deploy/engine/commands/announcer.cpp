#include "deploy/engine/commands/announcer.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "proto/api/codec.hpp"

namespace holdfast::deploy::engine {

using proto::api::OutcomeResult;

proto::api::Outcome Announcer::outcome(GenerationId id, OutcomeResult word,
                                       const plan::Rollout& rollout) const {
  proto::api::Outcome made;
  made.generation = id.value();
  made.result = word;
  made.seconds = std::chrono::duration<double>(parts_.ports.clock.boot() - rollout.started).count();
  made.services = services_();
  return made;
}

void Announcer::publish(const proto::api::Outcome& outcome, std::string detail) {
  proto::api::Event event;
  event.time = to_rfc3339(parts_.ports.clock.wall());
  event.kind = "result";
  event.generation = outcome.generation;
  event.message = outcome.result.str();
  event.detail = std::move(detail);
  parts_.events.publish(std::move(event));
}

/// What the failure says itself, else what the end of its instance most likely means; may be empty.
std::string Announcer::next_step(const plan::Failure& failure) const {
  const auto hint = failure.evidence.find("next");
  if (hint != failure.evidence.end() && !hint->second.empty()) return hint->second;
  const auto instance = failure.evidence.find("instance");
  if (instance == failure.evidence.end()) return {};
  return parts_.evidence.of(plan::InstanceId{instance->second}).advice;
}

/// The outcome with what proves the failure.
std::string Announcer::failure_detail(const std::string& outcome,
                                      const plan::Failure& failure) const {
  auto detail = boost::json::parse(outcome).as_object();
  boost::json::object evidence;
  for (const auto& [key, value] : failure.evidence) evidence[key] = value;
  const auto instance = failure.evidence.find("instance");
  if (instance != failure.evidence.end()) {
    boost::json::array lines;
    for (const auto& line : parts_.evidence.of(plan::InstanceId{instance->second}).lines)
      lines.emplace_back(line);
    evidence["log"] = std::move(lines);
  }
  detail["evidence"] = std::move(evidence);
  return boost::json::serialize(detail);
}

void Announcer::result(GenerationId id, OutcomeResult word, const plan::Rollout& rollout,
                       Ended ended) {
  auto made = outcome(id, word, rollout);
  if (ended == Ended::arrived || !rollout.failure) return publish(made, proto::api::encode(made));
  const auto& failure = *rollout.failure;
  auto next = next_step(failure);
  if (next.empty()) next = fmt::format("holdfast show {}", id.value());
  made.error =
      proto::api::ErrorBody{std::string{code(failure.code)}, failure.what, std::move(next)};
  publish(made, failure_detail(proto::api::encode(made), failure));
}

void Announcer::result(const plan::Rollout& rollout) {
  if (!rollout.failure) return result(rollout.target, OutcomeResult::good, rollout, Ended::arrived);
  // With nothing to go back to it failed; else the earlier generation is effective again.
  result(rollout.target,
         rollout.from.value() == 0 ? OutcomeResult::failed : OutcomeResult::rolled_back, rollout,
         Ended::went_back);
  const bool by_operator = rollout.failure->code == Errc::cancelled;
  if (by_operator) result(rollout.from, OutcomeResult::good, rollout, Ended::arrived);
}

void Announcer::superseded(const plan::Rollout& rollout) {
  if (rollout.phase == plan::Phase::staging)
    result(rollout.target, OutcomeResult::superseded, rollout, Ended::arrived);
}

void Announcer::wait() {
  const auto& progress = parts_.journal.progress();
  const auto wait = plan::waits_for(progress, parts_.observed);
  if (!wait) return;
  const auto id = progress.rollout->target;
  const bool held = wait->cause == plan::Wait::Cause::hold;
  auto made = outcome(id, OutcomeResult::waiting, *progress.rollout);
  made.error = proto::api::ErrorBody{
      std::string{code(Errc::held)},
      fmt::format("generation {} is accepted and its images are here, but it waits: {}", id.value(),
                  wait->text),
      held ? "holdfast resume" : "wait for the window, or apply the document again with --now"};
  publish(made, proto::api::encode(made));
}

void Announcer::rehearsal(const proto::api::RehearsalStatus& verdict) {
  proto::api::Event event;
  event.time = to_rfc3339(parts_.ports.clock.wall());
  event.kind = "rehearsal_result";
  event.generation = verdict.generation;
  event.message = verdict.verdict.str();
  event.detail = proto::api::encode(verdict);
  parts_.events.publish(std::move(event));
}

}  // namespace holdfast::deploy::engine
