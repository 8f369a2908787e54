#pragma once
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "deploy/engine/commands/announcer.hpp"
#include "deploy/engine/commands/rollbacks.hpp"
#include "deploy/engine/state/candidate.hpp"
#include "deploy/engine/state/parts.hpp"
#include "deploy/plan/admission/host_warnings.hpp"

namespace holdfast::deploy::engine {

/// Accepting documents: from people and from sources. Everything is checked before anything is
/// recorded. Engine thread only.
class Applies {
 public:
  Applies(Parts& parts, const Rollbacks& rollbacks, Announcer& announcer)
      : parts_(parts), rollbacks_(rollbacks), announcer_(announcer) {}

  /// Accepts a document and begins its rollout. Errors: those of `read_candidate`, conflict
  /// (another deployment's name), policy, spec_target, spec_expired, quarantined, busy (another
  /// rollout is under way), port_in_use, those of the ledger.
  Result<proto::api::Accepted> apply(Candidate candidate, const Actor& actor,
                                     plan::Trigger trigger);
  /// What it would do. Touches nothing.
  Result<UnfinishedPlan> plan(Candidate candidate);

 private:
  [[nodiscard]] Result<proto::Deployment> admit(Candidate& candidate);
  [[nodiscard]] Result<proto::Deployment> admit_by_hand(Candidate& candidate);
  [[nodiscard]] Status check_host_policy(const proto::Deployment& wanted) const;
  [[nodiscard]] std::optional<Result<proto::api::Accepted>> join_rollout(
      const proto::api::ApplyRequest& request, const proto::Deployment& wanted, const Actor& actor);
  [[nodiscard]] Status begin_now(const proto::api::ApplyRequest& request, const Actor& actor);
  [[nodiscard]] Result<proto::api::Accepted> accept(const Candidate& candidate,
                                                    proto::Deployment wanted, const Actor& actor,
                                                    plan::Trigger trigger);
  [[nodiscard]] Result<proto::api::Accepted> unchanged(const Candidate& candidate,
                                                       const ledger::Generation& current,
                                                       const Actor& actor);
  void add_warnings(const proto::api::ApplyRequest& request, const proto::Deployment& wanted,
                    proto::api::PlanReport& report);

  Parts& parts_;
  const Rollbacks& rollbacks_;
  Announcer& announcer_;
};

}  // namespace holdfast::deploy::engine
