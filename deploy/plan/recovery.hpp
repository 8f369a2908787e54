#pragma once
#include <optional>
#include <vector>

#include "deploy/plan/model/state.hpp"

namespace holdfast::deploy::plan {

/// After a recovery of the ledger nobody recorded what serves. Progress with what runs as that of
/// `generation`, when it is that: for each service of its document one instance with its run hash,
/// and no other one that runs. A service none of whose instances runs is left to be recreated.
/// None when something else runs.
[[nodiscard]] std::optional<Progress> match_running(const Progress& recorded,
                                                    const proto::Deployment& document,
                                                    GenerationId generation,
                                                    const std::vector<ObservedInstance>& running);

/// Progress in which no generation is effective, and all that is there is kept as it is, published
/// ports included, until another generation is good. An apply takes over what has the run hashes of
/// its document.
[[nodiscard]] Progress keep_unknown(const Progress& recorded,
                                    const std::vector<ObservedInstance>& running);

/// A rollback that the ledger did not take, carried out by a later life of the agent.
struct ResumedRollback {
  Progress progress;
  /// An apply that was refused and is recorded nevertheless: a flush that failed may have written.
  std::optional<GenerationId> superseded;
};
/// Everything recorded is older than the rollback. None: what is recorded is that rollback itself.
[[nodiscard]] std::optional<ResumedRollback> resume_rollback(const Progress& recorded,
                                                             GenerationId target, std::string actor,
                                                             std::string reason, BootTime now);

}  // namespace holdfast::deploy::plan
