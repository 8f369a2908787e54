#include "deploy/plan/recovery.hpp"

#include <algorithm>

#include "common/base/text.hpp"
#include "deploy/plan/plan.hpp"

namespace holdfast::deploy::plan {
namespace {

bool runs(const ObservedInstance& seen) {
  return seen.state == InstanceState::running || seen.state == InstanceState::unsupervised;
}

/// The number at the end of an id; 0 when there is none.
std::uint64_t sequence_of(const InstanceId& id) {
  const auto dash = id.str().rfind('-');
  if (dash == std::string::npos) return 0;
  const auto number = parse_number(std::string_view{id.str()}.substr(dash + 1));
  return number ? *number : 0;
}

/// What lasts over a loss of the rest.
Progress fresh_progress(const Progress& recorded, const std::vector<ObservedInstance>& running) {
  Progress next;
  next.addresses = recorded.addresses;
  next.hold = recorded.hold;
  next.source = recorded.source;
  next.heard = recorded.heard;
  next.start_times = recorded.start_times;
  next.next_sequence = recorded.next_sequence;
  for (const auto& seen : running)
    next.next_sequence = std::max(next.next_sequence, sequence_of(seen.id) + 1);
  return next;
}

}  // namespace

std::optional<Progress> match_running(const Progress& recorded, const proto::Deployment& document,
                                      GenerationId generation,
                                      const std::vector<ObservedInstance>& running) {
  auto next = fresh_progress(recorded, running);
  next.current = next.good = generation;
  for (const auto& [name, wanted] : document.services) {
    const ObservedInstance* found = nullptr;
    bool other = false;
    const auto serving = recorded.serving.find(name);
    const auto better = [&](const ObservedInstance& seen) {
      if (found == nullptr) return true;
      if (runs(seen) != runs(*found)) return runs(seen);
      if (serving != recorded.serving.end() && found->id == serving->second) return false;
      return sequence_of(seen.id) > sequence_of(found->id) ||
             (serving != recorded.serving.end() && seen.id == serving->second);
    };
    for (const auto& seen : running) {
      if (seen.service != name || seen.state == InstanceState::frozen) continue;
      if (seen.run_hash != wanted.run_hash) {
        other = other || runs(seen);
      } else if (better(seen)) {
        found = &seen;
      }
    }
    if (other && (found == nullptr || !runs(*found))) return std::nullopt;
    if (found != nullptr) next.serving.emplace(name, found->id);
  }
  for (const auto& seen : running) {
    const auto serving = next.serving.find(seen.service);
    const bool serves = serving != next.serving.end() && serving->second == seen.id;
    if (runs(seen) && !serves && !is_rehearsal(seen.service)) return std::nullopt;
  }
  return next;
}

Progress keep_unknown(const Progress& recorded, const std::vector<ObservedInstance>& running) {
  auto next = fresh_progress(recorded, running);
  for (const auto& seen : running) next.kept.insert(seen.id);
  return next;
}

std::optional<ResumedRollback> resume_rollback(const Progress& recorded, GenerationId target,
                                               std::string actor, std::string reason,
                                               BootTime now) {
  ResumedRollback taken{.progress = recorded, .superseded = {}};
  if (const auto& rollout = recorded.rollout) {
    const bool goes_back = rollout->trigger == Trigger::rollback;
    if (goes_back && rollout->target == target) return std::nullopt;
    if (!goes_back && rollout->from == target) {
      taken.progress = abandon_rollout(recorded, std::move(actor), std::move(reason), now);
      return taken;
    }
    if (!goes_back) taken.superseded = rollout->target;
    taken.progress = without_rollout(recorded);
  }
  if (taken.progress.current != target)
    taken.progress = begin_rollout(taken.progress, target, Trigger::rollback, std::move(actor),
                                   std::move(reason), now);
  return taken;
}

}  // namespace holdfast::deploy::plan
