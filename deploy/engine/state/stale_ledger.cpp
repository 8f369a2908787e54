#include "deploy/engine/state/stale_ledger.hpp"

#include <algorithm>

namespace holdfast::deploy::engine {

bool safe_with_stale_ledger(const plan::Action& action, const plan::Progress& progress,
                            const plan::Observed& observed, bool unjournaled) {
  if (const auto* stop = std::get_if<plan::Stop>(&action)) {
    const auto serving = progress.serving.find(stop->service);
    return serving != progress.serving.end() && serving->second == stop->id;
  }
  if (std::holds_alternative<plan::Remove>(action)) return false;
  if (unjournaled || std::holds_alternative<plan::ProbeNow>(action) ||
      std::holds_alternative<plan::RestartProcess>(action))
    return true;
  if (std::holds_alternative<plan::Route>(action)) return !observed.routing;
  const auto* create = std::get_if<plan::Create>(&action);
  return create != nullptr &&
         std::none_of(observed.instances.begin(), observed.instances.end(), [&](const auto& row) {
           return row.second.seen.service == create->service &&
                  row.second.seen.state == plan::InstanceState::running;
         });
}

void restrain(std::vector<plan::Action>& actions, const plan::Progress& progress,
              const plan::Observed& observed, bool unjournaled) {
  std::erase_if(actions, [&](const plan::Action& action) {
    return !safe_with_stale_ledger(action, progress, observed, unjournaled);
  });
  if (unjournaled || !observed.last_routing) return;
  for (auto& action : actions)
    if (auto* route = std::get_if<plan::Route>(&action)) route->table = *observed.last_routing;
}

}  // namespace holdfast::deploy::engine
