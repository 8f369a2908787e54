#pragma once
#include <functional>
#include <string>

#include "deploy/engine/state/parts.hpp"
#include "deploy/plan/way_back.hpp"

namespace holdfast::deploy::engine {

/// The way back: where it leads, whether it is open, and going it. Engine thread only.
class Rollbacks {
 public:
  explicit Rollbacks(Parts& parts) : parts_(parts) {}

  /// Calls `then` on the engine thread when the document of the generation that `wanted` leads to
  /// is in memory: before `rollback`, `plan` and a rehearsal. At once for those that are retained.
  void prepare(std::uint64_t wanted, std::function<void()> then);
  /// Goes back, or turns the rollout under way back. Never fails for want of the ledger. Errors:
  /// not_found (nothing to go back to, or an image that is not here, with the next step), conflict,
  /// busy (another rollback is under way), port_in_use.
  Result<proto::api::Accepted> rollback(const proto::api::RollbackRequest& request,
                                        const Actor& actor);
  /// What it would do. Touches nothing.
  Result<UnfinishedPlan> plan(const proto::api::RollbackRequest& request);
  /// Carries out the intent that an earlier life left behind, and records it if that can be.
  void resume_intent();

  /// The generation that a rollback leads to; `wanted` 0: by default. Errors: not_found, conflict.
  [[nodiscard]] Result<GenerationId> target(std::uint64_t wanted) const;
  [[nodiscard]] plan::RollbackFacts facts() const;
  /// Whether all that the generation needs is on this host. Errors: those of the image store,
  /// naming the service.
  [[nodiscard]] Status check_local(GenerationId id);

  /// Looks again whether the way back is open.
  void refresh();
  /// The same where generations or quarantine have changed since.
  void refresh_if_changed();
  [[nodiscard]] const proto::api::RollbackReadiness& readiness() const { return readiness_; }
  /// Good generations that are wholly on this host, at most as many as are retained.
  [[nodiscard]] std::uint64_t ready_generations() const { return ready_generations_; }

 private:
  [[nodiscard]] proto::api::Accepted accepted(GenerationId target, std::string digest,
                                              std::uint64_t since) const;
  [[nodiscard]] Result<proto::api::Accepted> turn_back(const proto::api::RollbackRequest& request,
                                                       const Actor& actor);
  void rollback_into(ledger::Batch& batch, GenerationId from, GenerationId target,
                     const std::string& actor, const std::string& reason);
  [[nodiscard]] RollbackIntent intent(GenerationId target, const Actor& actor,
                                      const std::string& reason) const;

  /// Starts a look, on a job thread, at the files and directories of the host that the generation
  /// names; what it finds counts for `readiness` only: a rollback itself is never refused for what
  /// was seen before.
  class HostNeeds;
  void look_at_host(GenerationId id);
  void host_seen(GenerationId id, const std::string& fault);

  Parts& parts_;
  proto::api::RollbackReadiness readiness_;
  bool looking_ = false;    ///< at the host
  std::string host_fault_;  ///< of the generation that `readiness_` names, as seen last
  std::uint64_t ready_generations_ = 0;
  std::pair<std::uint64_t, std::uint64_t> refreshed_at_{};  ///< revisions of both
};

}  // namespace holdfast::deploy::engine
