#pragma once
#include <optional>

#include "deploy/engine/commands/announcer.hpp"
#include "deploy/engine/commands/rollbacks.hpp"

namespace holdfast::deploy::engine {

/// Trying a rollback without going back. Engine thread only.
class Rehearsals {
 public:
  Rehearsals(Parts& parts, Rollbacks& rollbacks, Announcer& announcer)
      : parts_(parts), rollbacks_(rollbacks), announcer_(announcer) {}

  /// Errors: busy (one is under way), those of `Rollbacks::target` and `check_local`, those of the
  /// ledger.
  Result<proto::api::Accepted> rehearse(const proto::api::RehearseRequest& request,
                                        const Actor& actor);
  /// On the schedule of agent.yaml; one that was interrupted is due again.
  void begin_due();
  /// Tells the verdict to who waits for it.
  void announce();

 private:
  Parts& parts_;
  Rollbacks& rollbacks_;
  Announcer& announcer_;
};

/// The rehearsal under way, else the last verdict; none: there was none yet.
[[nodiscard]] std::optional<proto::api::RehearsalStatus> rehearsal_status(
    const plan::Progress& progress, BootTime boot, WallTime wall);

}  // namespace holdfast::deploy::engine
