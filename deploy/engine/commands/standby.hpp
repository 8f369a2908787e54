#pragma once
#include <vector>

#include "deploy/engine/state/parts.hpp"

namespace holdfast::deploy::engine {

/// Frozen instances that a rollback would thaw. Engine thread only.
class Standby {
 public:
  explicit Standby(Parts& parts) : parts_(parts) {}

  /// Releases every one: rollback gets slower, memory gets free. Errors: those of the ledger.
  Result<proto::api::StandbyDropped> drop(const proto::api::StandbyDropRequest& request,
                                          const Actor& actor);
  /// Puts into what is observed whether memory is so short that they must go; looked at once a
  /// second, and only while there are any.
  void observe_memory();

 private:
  [[nodiscard]] std::string why_short() const;

  Parts& parts_;
  BootTime next_look_{};
};

[[nodiscard]] std::vector<proto::api::StandbyStatus> standby_status(const plan::Progress& progress,
                                                                    const plan::Observed& observed,
                                                                    BootTime boot, WallTime wall);

}  // namespace holdfast::deploy::engine
