#pragma once
#include <vector>

#include "deploy/plan/model/state.hpp"

namespace holdfast::deploy::engine {

/// With a ledger that may be older than what runs, what serves might look like something left over,
/// and its traffic as if it went astray. Whether an action helps whatever is true. `unjournaled`:
/// an operator asked for a rollback since, which says what should run. Pure.
[[nodiscard]] bool safe_with_stale_ledger(const plan::Action& action,
                                          const plan::Progress& progress,
                                          const plan::Observed& observed, bool unjournaled);

/// Takes out what is not safe. A table that was altered is led to where it led before, not to what
/// such a ledger holds to serve; to that only where the agent has never seen it whole. Pure.
void restrain(std::vector<plan::Action>& actions, const plan::Progress& progress,
              const plan::Observed& observed, bool unjournaled);

}  // namespace holdfast::deploy::engine
