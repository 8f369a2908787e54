// Services that an operator stopped, started or restarted by name.
#include <fmt/format.h>

#include "deploy/plan/planner.hpp"

namespace holdfast::deploy::plan {
namespace {

std::uint32_t starts_of(const Progress& progress, const Observed& observed,
                        const ServiceName& service) {
  const auto serving = progress.serving.find(service);
  if (serving == progress.serving.end()) return 0;
  const auto view = observed.instances.find(serving->second);
  return view == observed.instances.end() ? 0 : view->second.seen.starts;
}

}  // namespace

std::string stop_text(const Hold& stop) {
  return fmt::format("stopped by {}{}{}", stop.actor,
                     stop.until ? " until " + to_rfc3339(*stop.until) : "",
                     stop.reason.empty() ? "" : ": " + stop.reason);
}

Progress stop_service(const Progress& progress, const ServiceName& service, Hold stop) {
  Progress next = progress;
  next.stopped[service] = std::move(stop);
  next.restarting.erase(service);
  next.restarts.erase(service);
  return next;
}

Progress restart_service(const Progress& progress, const Observed& observed,
                         const ServiceName& service) {
  Progress next = progress;
  next.stopped.erase(service);
  next.restarts.erase(service);
  std::erase_if(next.completed, [&](const auto& row) { return row.first.first == service; });
  next.restarting[service] = starts_of(progress, observed, service);
  return next;
}

void mark_stopped(const Progress& progress, std::vector<proto::api::PlanStep>& steps) {
  for (auto& step : steps) {
    const bool runs =
        step.change == "create" || step.change == "cutover" || step.change == "replace";
    const auto stop = progress.stopped.find(ServiceName{step.service});
    if (!runs || stop == progress.stopped.end()) continue;
    step.change = "keep";
    step.reason = "not started: " + stop_text(stop->second);
  }
}

std::vector<std::string> stop_warnings(const Progress& progress, const proto::Deployment& target) {
  std::vector<std::string> warnings;
  for (const auto& [name, stop] : progress.stopped) {
    if (target.services.contains(name))
      warnings.push_back(fmt::format("{} stays {}; next: holdfast start {}", name.str(),
                                     stop_text(stop), name.str()));
  }
  return warnings;
}

/// A rollout that has begun goes on without those that it skips.
void Planner::end_stops() {
  if (has_begun(state())) return;
  const auto all = state().stopped;  // one that ends makes another state
  for (const auto& [name, stop] : all) {
    if (!stop.until) continue;
    if (*stop.until > observed_.wall) {
      wake(*stop.until);
      continue;
    }
    note(proto::EntryKind::started, serving_generation(state()), "the stop ended at its time",
         {{"stopped_by", stop.actor}, {"stopped_since", to_rfc3339(stop.since)}}, name.str());
    state() = restart_service(state(), observed_, name);
  }
}

/// True when an operator stopped it: its process ends, and nothing starts it.
bool Planner::stays_stopped(const ServiceName& name, const InstanceView* view) {
  if (!state().stopped.contains(name)) return false;
  if (view != nullptr && has_process(view->seen.state)) stop(*view, false);
  return true;
}

/// Whether the process of the time when a restart was decided has yet to end or to be started
/// again. Only a later process ends the request, so that none is lost with the agent.
bool Planner::awaits_restart(const ServiceName& name, const InstanceView& view) {
  if (is_to_restart(state(), name, view.seen.starts)) return true;
  state().restarting.erase(name);
  return false;
}

bool is_to_restart(const Progress& progress, const ServiceName& name, std::uint32_t starts) {
  const auto asked = progress.restarting.find(name);
  return asked != progress.restarting.end() && starts <= asked->second;
}

}  // namespace holdfast::deploy::plan
