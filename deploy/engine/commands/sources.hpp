#pragma once
#include <set>
#include <string>

#include "deploy/engine/commands/applies.hpp"
#include "deploy/engine/state/candidate.hpp"
#include "deploy/engine/state/parts.hpp"

namespace holdfast::deploy::engine {

/// What watched sources declare. Engine thread only.
class Sources {
 public:
  Sources(Parts& parts, Applies& applies) : parts_(parts), applies_(applies) {}

  /// A source has this document; one that may not run is remembered and shown. What it withdraws is
  /// quarantined, whatever becomes of the rest. Only a change of the source counts: what was last
  /// accepted from it is not applied again over an operator's `apply` (plan::hear).
  void changed(Candidate candidate, const std::string& source);
  /// What it has was not even offered.
  void refused(const Error& error, const std::string& source);

 private:
  /// False when the ledger did not take it.
  bool quarantine_withdrawn(const std::set<proto::Digest>& withdrawn, const Actor& actor);
  void remember_serial(const plan::HeardSerial& word);
  [[nodiscard]] bool was_displaced_by_hand(const Actor& actor) const;
  void note_refresh(const Candidate& candidate, const ledger::Generation& last, const Actor& actor);
  void remember_offer(const proto::Digest& digest, const std::string& source);

  Parts& parts_;
  Applies& applies_;
};

}  // namespace holdfast::deploy::engine
