#include "deploy/plan/way_back.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "deploy/plan/plan.hpp"
#include "deploy/plan/staging.hpp"

namespace holdfast::deploy::plan {
namespace {

const KnownGeneration* find(const RollbackFacts& facts, GenerationId id) {
  const auto found = std::find_if(facts.generations.begin(), facts.generations.end(),
                                  [&](const auto& row) { return row.id == id; });
  return found == facts.generations.end() ? nullptr : &*found;
}

bool runs_already(const RollbackFacts& facts, const KnownGeneration& row) {
  const auto* effective = find(facts, facts.effective);
  return row.id == facts.effective ||
         (effective != nullptr && effective->spec_digest == row.spec_digest);
}

Result<GenerationId> named_target(const RollbackFacts& facts, std::uint64_t wanted) {
  const auto* row = find(facts, GenerationId{wanted});
  if (row == nullptr)
    return Error{Errc::not_found, fmt::format("there is no generation {}", wanted)}.hint(
        "`holdfast history` lists them");
  if (row->id == facts.effective)
    return Error{Errc::conflict, fmt::format("generation {} is current already", wanted)}.hint(
        "`holdfast history` lists the others");
  if (!row->ever_good)
    return Error{Errc::not_found, fmt::format("generation {} was never good", wanted)}.hint(
        "`holdfast history` lists the good ones");
  if (runs_already(facts, *row))
    return Error{Errc::conflict,
                 fmt::format("the content of generation {} runs already, as generation {}", wanted,
                             facts.effective.value())}
        .hint("name a generation with another spec digest: `holdfast history` lists them");
  if (facts.withdrawn.contains(row->spec_digest))
    return Error{Errc::quarantined,
                 fmt::format("generation {} was withdrawn by whoever published it", wanted)}
        .hint(fmt::format("go back to another one; to run it nevertheless, release it first: "
                          "holdfast quarantine release {} --reason TEXT",
                          row->spec_digest.short_hex()));
  return row->id;
}

}  // namespace

Result<GenerationId> rollback_target(const RollbackFacts& facts, std::uint64_t wanted) {
  if (wanted != 0) return named_target(facts, wanted);
  const KnownGeneration* later = nullptr;
  for (const auto& row : facts.generations) {
    if (!row.ever_good || runs_already(facts, row) || facts.quarantined.contains(row.spec_digest))
      continue;
    if (row.id < facts.effective) return row.id;
    if (later == nullptr) later = &row;
  }
  return Error{Errc::not_found,
               "there is no earlier good generation with other content to go back to"}
      .hint(later == nullptr
                ? std::string{"apply another document instead"}
                : fmt::format("generation {} is later and was good: holdfast rollback --to {}",
                              later->id.value(), later->id.value()));
}

Result<RollbackChoice> choose_rollback(const Progress& progress, const RollbackFacts& facts,
                                       std::uint64_t wanted) {
  const bool leads_elsewhere =
      wanted != 0 && progress.rollout && wanted != progress.rollout->from.value();
  if (progress.rollout && !is_waiting(progress) && !(leads_elsewhere && gives_way(progress))) {
    const auto& rollout = *progress.rollout;
    if (rollout.trigger == Trigger::rollback || (wanted != 0 && wanted != rollout.from.value()))
      return Error{Errc::busy,
                   fmt::format("generation {} is being rolled out", rollout.target.value())}
          .hint(leads_elsewhere && rollout.trigger != Trigger::rollback
                    ? "turn it back first: holdfast rollback"
                    : "wait for it (`holdfast status --watch`)");
    if (rollout.from.value() == 0)
      return Error{Errc::not_found, "this is the first rollout: there is nothing to go back to"}
          .hint("wait for it to end");
    return RollbackChoice{rollout.from, true};
  }
  HF_ASSIGN(const auto target, rollback_target(facts, wanted));
  return RollbackChoice{target, false};
}

std::vector<KnownGeneration> ways_back(const RollbackFacts& facts) {
  std::vector<KnownGeneration> ways;
  std::set<proto::Digest> contents;
  for (const auto& row : facts.generations) {
    if (row.ever_good && !runs_already(facts, row) && contents.insert(row.spec_digest).second)
      ways.push_back(row);
  }
  return ways;
}

}  // namespace holdfast::deploy::plan
