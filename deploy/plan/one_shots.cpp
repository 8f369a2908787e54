// One-shots: services whose document says that they may end (`restart: "no"` or `on-failure`). One
// that ended with exit code 0 has completed, and that is a good end.
#include <algorithm>

#include "deploy/plan/planner.hpp"

namespace holdfast::deploy::plan {

bool has_completed(const InstanceView& view, const proto::Service& wanted) {
  return wanted.restart != proto::Restart::always && view.seen.state == InstanceState::exited &&
         view.seen.exit && view.seen.exit->code == 0;
}

std::optional<WallTime> completed_at(const Progress& progress, const ServiceName& name,
                                     const proto::Service& wanted) {
  if (wanted.restart == proto::Restart::always) return std::nullopt;
  const auto found = progress.completed.find({name, wanted.run_hash});
  return found == progress.completed.end() ? std::nullopt : std::optional{found->second};
}

/// Whether its process has ended as it should, of itself, and that is not written down yet.
bool completes_now(const Progress& progress, const InstanceView& view, const ServiceName& name,
                   const proto::Service& wanted) {
  // Of the process that a restart was asked for, however soon it ended: not of the one before.
  return view.seen.run_hash == wanted.run_hash && has_completed(view, wanted) &&
         !is_to_restart(progress, name, view.seen.starts) && !progress.stopped.contains(name) &&
         !completed_at(progress, name, wanted);
}

/// Written down at once, as a reboot takes the exit code away.
void Planner::note_completed() {
  note_completed(serving_generation(state()), state().serving);
  if (state().rollout) note_completed(rollout().target, rollout().fresh);
}

void Planner::note_completed(GenerationId generation,
                             const std::map<ServiceName, InstanceId>& instances) {
  const auto* known = document(generation);
  if (known == nullptr) return;
  for (const auto& [name, id] : instances) {
    const auto wanted = known->services.find(name);
    const auto* view = find(id);
    if (wanted == known->services.end() || view == nullptr ||
        !completes_now(state(), *view, name, wanted->second))
      continue;
    state().completed.emplace(std::pair{name, wanted->second.run_hash}, observed_.wall);
    note(proto::EntryKind::completed, generation, "ended with exit code 0",
         {{"instance", id.str()}}, name.str());
  }
  constexpr std::size_t kMost = 64;
  auto& all = state().completed;
  while (all.size() > kMost)
    all.erase(std::min_element(all.begin(), all.end(),
                               [](const auto& a, const auto& b) { return a.second < b.second; }));
}

/// What an operator stopped is not started, and what completed is not run again for a rollback to
/// it.
bool Planner::skips(const ServiceName& name, const proto::Service& wanted) const {
  if (!changed(name, wanted)) return false;
  return out_.progress.stopped.contains(name) ||
         (out_.progress.rollout->trigger == Trigger::rollback &&
          completed_at(out_.progress, name, wanted).has_value());
}

/// True when the service has nothing more to do. What a reboot left of its instance goes.
bool Planner::rests(const ServiceName& name, const proto::Service& wanted,
                    const InstanceView* view) {
  if (!completed_at(state(), name, wanted)) return false;
  if (view == nullptr) return true;
  const bool remains =
      view->seen.state == InstanceState::broken || view->seen.state == InstanceState::creating;
  if (remains) state().serving.erase(name);
  return remains || view->seen.state == InstanceState::exited;
}

void mark_completed(const Progress& progress, const proto::Deployment& after,
                    std::vector<proto::api::PlanStep>& steps) {
  for (auto& step : steps) {
    const auto wanted = after.services.find(ServiceName{step.service});
    const bool runs =
        step.change == "create" || step.change == "cutover" || step.change == "replace";
    if (!runs || wanted == after.services.end()) continue;
    if (const auto at = completed_at(progress, wanted->first, wanted->second)) {
      step.change = "keep";
      step.reason = "not run again: it completed at " + to_rfc3339(*at);
    }
  }
}

}  // namespace holdfast::deploy::plan
