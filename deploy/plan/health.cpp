#include <algorithm>

#include "deploy/plan/plan.hpp"

namespace holdfast::deploy::plan {

Health advance(Health health, const proto::HealthRule& rule, bool success, std::string detail,
               Milliseconds age) {
  health.in_flight = false;
  health.judged = health.last_probe;
  health.detail = std::move(detail);
  if (health.state == HealthState::none) health.state = HealthState::starting;
  if (success) {
    health.failures = 0;
    if (++health.successes >= rule.healthy) health.state = HealthState::healthy;
    return health;
  }
  health.successes = 0;
  // While it starts it is asked more often than `interval`: what fails then does not count before
  // as many failures could have come at the declared pace.
  const auto grace = std::max(rule.start_period, rule.interval * rule.unhealthy);
  if (health.state == HealthState::starting && age < grace) return health;
  if (++health.failures >= rule.unhealthy) health.state = HealthState::unhealthy;
  return health;
}

}  // namespace holdfast::deploy::plan
