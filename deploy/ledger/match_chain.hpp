#pragma once
#include <optional>
#include <vector>

#include "common/db/db.hpp"
#include "deploy/ledger/tables.hpp"
#include "deploy/plan/plan.hpp"

namespace holdfast::deploy::ledger {

/// What the engine begins with where its own state is not to be believed: the generation that
/// describes what runs, the effective one of the chain before others and newer before older, with
/// its document as it was accepted (from `db`). Of `recorded` no more counts than what nothing else
/// tells (addresses, hold). Nothing: no generation describes what runs.
[[nodiscard]] std::optional<plan::Progress> match_chain(
    db::Db& db, const Tables& told, GenerationId effective, const plan::Progress& recorded,
    const std::vector<plan::ObservedInstance>& running);

}  // namespace holdfast::deploy::ledger
