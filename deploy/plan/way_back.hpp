#pragma once
/// \file
/// Where a rollback goes. Pure: the same choice for `rollback`, its dry run, readiness, rehearsals
/// and the images that are kept.

#include <set>
#include <string_view>
#include <vector>

#include "deploy/plan/model/state.hpp"

namespace holdfast::deploy::plan {

/// What the choice needs to know of a generation.
struct KnownGeneration {
  GenerationId id;
  proto::Digest spec_digest;
  bool ever_good = false;  ///< passed gate and soak at least once
  bool operator==(const KnownGeneration&) const = default;
};

/// Evidence of a quarantine that comes from whoever published the document: a rollback does not
/// lift it.
inline constexpr std::string_view kWithdrawn = "withdrawn";

struct RollbackFacts {
  std::vector<KnownGeneration> generations;  ///< newest first
  std::set<proto::Digest> quarantined;
  std::set<proto::Digest> withdrawn;  ///< of those, by whoever published them
  GenerationId effective;             ///< what the host runs; 0: nothing
};

/// The target of a rollback. `wanted` 0: the newest good generation before the effective one whose
/// content is another and not quarantined, so a rollback never toggles and always changes
/// something. Else the generation of that number, quarantined or not, unless it was withdrawn.
/// Errors: not_found (none, never good, unknown), conflict (it has the content that runs),
/// quarantined (withdrawn).
[[nodiscard]] Result<GenerationId> rollback_target(const RollbackFacts& facts,
                                                   std::uint64_t wanted);

/// What `rollback` would do now.
struct RollbackChoice {
  GenerationId target;
  bool turns_back = false;  ///< the rollout under way ends, and what it came from stays
};
/// A rollout that has begun is turned back, unless it is a rollback itself; one that waits, or is
/// still being fetched while `wanted` leads elsewhere than it came from, gives way. Errors: as of
/// `rollback_target`; busy.
[[nodiscard]] Result<RollbackChoice> choose_rollback(const Progress& progress,
                                                     const RollbackFacts& facts,
                                                     std::uint64_t wanted);

/// The good generations that lead to other content than what runs, the newest of each content, with
/// or without quarantine; newest first.
[[nodiscard]] std::vector<KnownGeneration> ways_back(const RollbackFacts& facts);

}  // namespace holdfast::deploy::plan
