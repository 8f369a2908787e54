#pragma once
#include <set>

#include "deploy/engine/state/parts.hpp"

namespace holdfast::deploy::engine {

/// In whose name an entry of this kind is made: of what belongs to the rollout of the decision, who
/// asked for that; else the agent. Pure.
[[nodiscard]] std::string actor_of(const plan::Decision& decision, proto::EntryKind kind);

/// What the ledger hears of a decision before anything of it is done: its notes, with what proves
/// them, how generations ended, and what is quarantined.
[[nodiscard]] ledger::Batch record_of(Parts& parts, const plan::Decision& decision);

/// Whose output proves what the decision says: it is read before the decision is recorded.
[[nodiscard]] std::set<plan::InstanceId> needs_evidence_of(const plan::Decision& decision);

/// Counts what a recorded decision tells.
void count_notes(Counters& counters, const plan::Decision& decision);

}  // namespace holdfast::deploy::engine
