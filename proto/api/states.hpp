#pragma once
/// \file
/// The states that the API, the metrics and the command line know, with their words. An enumerator
/// and its word are added here; a unit test holds openapi.yaml to them, and the metrics export a
/// series for each from the start.

#include "proto/deployment/drift.hpp"
#include "proto/ledger/entry.hpp"
#include "proto/words.hpp"

namespace holdfast::proto {

enum class HookStage : std::uint8_t;  // proto/deployment/deployment.hpp

namespace api {

/// How a service stands.
enum class ServiceState : std::uint8_t {
  pending,   ///< its rollout has not come to it
  pulling,   ///< its image is being fetched
  creating,  ///< its container is being made
  starting,
  running,
  frozen,        ///< by somebody else: it answers nobody
  unsupervised,  ///< it runs, but its conmon is gone
  broken,        ///< its container cannot be understood
  exited,        ///< and is not started again
  completed,     ///< a one-shot that ended with exit code 0
  stopped,       ///< by an operator
  backoff,       ///< ended or could not be started; the next try comes
  missing,
};

/// What the health check of a service says; `none`: it has none.
enum class HealthState : std::uint8_t { none, starting, healthy, unhealthy };

/// The host as a whole.
enum class DeploymentState : std::uint8_t {
  empty,
  converged,
  rolling,
  reverting,
  waiting,
  held,
  degraded,
};

/// Stored by number: new ones come last. `waiting` lies between staging and starting.
enum class RolloutPhase : std::uint8_t {
  staging,
  starting,
  checking,
  switching,
  soaking,
  reverting,
  waiting,
};

/// Of a rehearsal; it has no verdict while it waits or runs.
enum class RehearsalState : std::uint8_t { waiting, running, passed, failed, interrupted };

/// What became of a generation.
enum class GenerationResult : std::uint8_t { pending, good, failed, rolled_back, superseded };

/// How a change ended, as the agent says it; `refused` and `pending` are said by the command line
/// alone: it did not begin, and nobody waited for its end.
enum class OutcomeResult : std::uint8_t {
  good,
  failed,
  rolled_back,
  superseded,
  unchanged,
  waiting,
  refused,
  pending,
};

/// How the last word of a source stands.
enum class SourceState : std::uint8_t {
  waiting,      ///< nothing was heard since the start
  current,      ///< what it has was accepted, or was here already
  refused,      ///< what it has must not run, as `refusal` says
  unreachable,  ///< it cannot be read
  stale,        ///< no good word for longer than `stale_after`, for either of the two reasons
};

enum class PlanChange : std::uint8_t { create, cutover, replace, policy, remove, keep };
enum class LogOrigin : std::uint8_t { out, err };
enum class ImageOperation : std::uint8_t { pull, verify, gc, export_, import };
enum class CollectedKind : std::uint8_t { image, layer, blob, replaced };

}  // namespace api

template <>
struct Words<api::ServiceState> {
  static constexpr std::array<std::string_view, 13> kAll{
      "pending", "pulling", "creating",  "starting", "running", "frozen", "unsupervised",
      "broken",  "exited",  "completed", "stopped",  "backoff", "missing"};
};
template <>
struct Words<api::HealthState> {
  static constexpr std::array<std::string_view, 4> kAll{"none", "starting", "healthy", "unhealthy"};
};
template <>
struct Words<api::DeploymentState> {
  static constexpr std::array<std::string_view, 7> kAll{
      "empty", "converged", "rolling", "reverting", "waiting", "held", "degraded"};
};
template <>
struct Words<api::RolloutPhase> {
  static constexpr std::array<std::string_view, 7> kAll{
      "staging", "starting", "checking", "switching", "soaking", "reverting", "waiting"};
};
template <>
struct Words<api::RehearsalState> {
  static constexpr std::array<std::string_view, 5> kAll{"waiting", "running", "passed", "failed",
                                                        "interrupted"};
};
template <>
struct Words<api::GenerationResult> {
  static constexpr std::array<std::string_view, 5> kAll{"pending", "good", "failed", "rolled_back",
                                                        "superseded"};
};
template <>
struct Words<api::SourceState> {
  static constexpr std::array<std::string_view, 5> kAll{"waiting", "current", "refused",
                                                        "unreachable", "stale"};
};
template <>
struct Words<api::OutcomeResult> {
  static constexpr std::array<std::string_view, 8> kAll{
      "good", "failed", "rolled_back", "superseded", "unchanged", "waiting", "refused", "pending"};
};
template <>
struct Words<api::PlanChange> {
  static constexpr std::array<std::string_view, 6> kAll{"create", "cutover", "replace",
                                                        "policy", "remove",  "keep"};
};
template <>
struct Words<HookStage> {
  static constexpr std::array<std::string_view, 3> kAll{"before", "after", "on_rollback"};
};
template <>
struct Words<api::LogOrigin> {
  static constexpr std::array<std::string_view, 2> kAll{"stdout", "stderr"};
};
template <>
struct Words<api::ImageOperation> {
  static constexpr std::array<std::string_view, 5> kAll{"pull", "verify", "gc", "export", "import"};
};
template <>
struct Words<api::CollectedKind> {
  static constexpr std::array<std::string_view, 4> kAll{"image", "layer", "blob", "replaced"};
};

}  // namespace holdfast::proto
