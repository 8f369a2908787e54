// The host goes down: everything that runs ends, what others stand on last.
#include <algorithm>

#include "deploy/plan/planner.hpp"

namespace holdfast::deploy::plan {
namespace {

using Names = std::set<ServiceName>;

/// Nothing in it would be lost: it is frozen and serves nobody, or only tries whether it could.
bool is_spare(const InstanceView& view, const Progress& progress) {
  if (is_rehearsal(view.seen.service)) return true;
  const auto serving = progress.serving.find(view.seen.service);
  return view.seen.state == InstanceState::frozen &&
         (serving == progress.serving.end() || serving->second != view.seen.id);
}

void add_all_above(const std::map<ServiceName, Names>& direct, const ServiceName& name,
                   Names& above) {
  const auto found = direct.find(name);
  if (found == direct.end()) return;
  for (const auto& each : found->second)
    if (above.insert(each).second) add_all_above(direct, each, above);
}

}  // namespace

std::set<ServiceName> living(const Progress& progress, const Observed& observed) {
  Names names;
  for (const auto& [id, view] : observed.instances)
    if (has_process(view.seen.state) && !is_spare(view, progress)) names.insert(view.seen.service);
  for (const auto& [name, id] : observed.busy) names.insert(name);
  return names;
}

std::set<ServiceName> to_start_again(const Progress& progress, const Observed& observed) {
  Names names;
  const auto document = observed.documents.find(progress.current);
  if (document == observed.documents.end()) return names;
  for (const auto& [id, view] : observed.instances)
    if (has_process(view.seen.state) && !is_spare(view, progress) &&
        document->second->services.contains(view.seen.service))
      names.insert(view.seen.service);
  return names;
}

std::map<ServiceName, Names> dependents(const Progress& progress, const Observed& observed) {
  std::map<ServiceName, Names> direct;
  for (const auto& [id, document] : observed.documents) {
    for (const auto& [name, service] : document->services) {
      direct.try_emplace(name);
      for (const auto& needed : service.depends_on) direct[needed].insert(name);
    }
  }
  std::map<ServiceName, Names> above;
  const auto hooks = hooks_under_way(progress, observed);
  for (const auto& [name, ignored] : direct) {
    add_all_above(direct, name, above[name]);
    for (const auto& [hook, text] : hooks) above[name].insert(hook);
  }
  return above;
}

bool is_just_booted(const Observed& observed) {
  const auto& all = observed.instances;
  return !observed.applied && !all.empty() &&
         std::all_of(all.begin(), all.end(),
                     [](const auto& row) { return row.second.seen.earlier_boot; });
}

Progress call_off_shutdown(const Progress& progress, const Observed& observed) {
  Progress next = progress;
  next.shutdown.reset();
  if (!observed.shutdown) return next;
  for (const auto& name : observed.shutdown->services)
    if (!next.stopped.contains(name)) next = restart_service(next, observed, name);
  return next;
}

/// SIGKILL needs no time; this is for a kernel that is busy.
void Planner::end_at_once(const InstanceView& view) {
  constexpr Milliseconds kAtMost{5'000};
  const auto& id = view.seen.id;
  if (may_end(id)) act(Stop{id, view.seen.service, {"SIGKILL", kAtMost}, true});
}

void Planner::end_by_rule(const InstanceView& view) {
  const auto& id = view.seen.id;
  if (!may_end(id)) return;
  const auto left = std::chrono::ceil<Milliseconds>(observed_.shutdown->since +
                                                    observed_.shutdown->within - now_);
  auto rule = stop_rule(state(), id);
  rule.timeout = std::min(rule.timeout, left);
  act(Stop{id, view.seen.service, std::move(rule), true});
}

/// Nothing else is decided: what is under way goes on when the host is up again, from what the
/// ledger says.
void Planner::end_everything() {
  const BootTime deadline = observed_.shutdown->since + observed_.shutdown->within;
  const auto alive = living(state(), observed_);
  const auto above = dependents(state(), observed_);
  const auto is_needed = [&](const ServiceName& name) {
    const auto found = above.find(name);
    return found != above.end() &&
           std::any_of(found->second.begin(), found->second.end(),
                       [&](const auto& each) { return each != name && alive.contains(each); });
  };
  std::vector<const InstanceView*> waiting;
  bool something_ends = !observed_.busy.empty();
  for (const auto& [id, view] : observed_.instances) {
    if (!has_process(view.seen.state)) continue;
    if (is_spare(view, state()) || now_ >= deadline) {
      end_at_once(view);
    } else if (is_needed(view.seen.service)) {
      waiting.push_back(&view);
      continue;
    } else {
      end_by_rule(view);
    }
    something_ends = something_ends || !is_spare(view, state());
  }
  // Old and new documents together may go in a circle.
  if (!something_ends)
    for (const auto* view : waiting) end_by_rule(*view);
  if (!alive.empty() && now_ < deadline) wake(deadline);
}

}  // namespace holdfast::deploy::plan
