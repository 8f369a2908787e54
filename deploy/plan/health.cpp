#include <fmt/format.h>

#include <algorithm>

#include "common/base/text.hpp"
#include "deploy/plan/plan.hpp"

namespace holdfast::deploy::plan {

Milliseconds start_grace(const proto::Service& service, std::optional<Milliseconds> measured) {
  const auto period = service.health ? service.health->start_period : Milliseconds{0};
  return std::max({period, service.update.deadline, 2 * measured.value_or(Milliseconds{0})});
}

std::optional<Milliseconds> last_start(const Progress& progress, const ServiceName& service) {
  const auto found = progress.start_times.find(service);
  return found == progress.start_times.end() ? std::nullopt : std::optional{found->second};
}

std::string start_grace_text(const proto::Service& service, std::optional<Milliseconds> measured) {
  auto text = fmt::format("has until {} after its start to become healthy",
                          human_duration(start_grace(service, measured)));
  if (measured) text += fmt::format(" (it took {} last)", human_duration(*measured));
  return text;
}

Health advance(Health health, const proto::HealthRule& rule, ProbeResult result) {
  health.in_flight = false;
  health.judged = health.last_probe;
  health.detail = std::move(result.detail);
  if (health.state == HealthState::none) health.state = HealthState::starting;
  if (result.success) {
    health.failures = 0;
    if (++health.successes >= rule.healthy) health.state = HealthState::healthy;
    return health;
  }
  health.successes = 0;
  // While it starts it is asked more often than `interval`.
  const bool early = result.age < result.grace || result.watched < rule.interval * rule.unhealthy;
  if (health.state == HealthState::starting && early) return health;
  if (++health.failures >= rule.unhealthy) health.state = HealthState::unhealthy;
  return health;
}

}  // namespace holdfast::deploy::plan
