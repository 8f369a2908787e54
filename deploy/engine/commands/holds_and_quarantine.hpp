#pragma once
#include <optional>
#include <string>

#include "deploy/engine/state/parts.hpp"

namespace holdfast::deploy::engine {

/// A row as the API lists it.
[[nodiscard]] proto::api::QuarantineItem quarantine_item(const ledger::Quarantine& row,
                                                         const Generations& generations,
                                                         const plan::Progress& progress);
[[nodiscard]] proto::api::HoldStatus hold_status(const plan::Hold& hold);

/// Errors: usage, when it is empty.
[[nodiscard]] Status need_reason(const std::string& reason);
/// RFC 3339; empty: no end. Errors: usage, when it is no time or is in the past.
[[nodiscard]] Result<std::optional<WallTime>> parse_until(const std::string& until, WallTime now);

/// Holds and quarantine: what blocks changes until somebody lifts it. Engine thread only. Errors of
/// all: usage (no reason, an unusable time), those of the ledger.
class HoldsAndQuarantine {
 public:
  explicit HoldsAndQuarantine(Parts& parts) : parts_(parts) {}

  Result<proto::api::HoldStatus> hold(const proto::api::HoldRequest& request, const Actor& actor);
  Result<proto::api::Resumed> resume(const proto::api::ResumeRequest& request, const Actor& actor);
  /// Errors: not_found, conflict (it runs, several documents begin like that, or 500 of others
  /// than root and 1,000 in all are quarantined).
  Result<proto::api::QuarantineItem> quarantine(const proto::api::QuarantineRequest& request,
                                                const Actor& actor);
  /// Errors: not_found.
  Result<proto::api::QuarantineItem> release(const proto::api::ReleaseRequest& request,
                                             const Actor& actor);
  /// Releases what was quarantined for a time. Returns when the next pass is due for that, at the
  /// latest `wake`.
  [[nodiscard]] BootTime expire(BootTime wake);

 private:
  [[nodiscard]] Result<proto::Digest> resolve(const std::string& what) const;
  [[nodiscard]] Result<proto::Digest> resolve_prefix(std::string_view digits) const;
  [[nodiscard]] Status may_quarantine(const proto::Digest& digest) const;
  [[nodiscard]] Status has_room(const proto::Digest& digest, const Actor& actor) const;
  [[nodiscard]] proto::api::QuarantineItem item(const ledger::Quarantine& row) const;

  Parts& parts_;
};

}  // namespace holdfast::deploy::engine
