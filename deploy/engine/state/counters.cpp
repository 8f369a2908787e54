#include "deploy/engine/state/counters.hpp"

#include <algorithm>

#include "deploy/plan/model/state.hpp"

namespace holdfast::deploy::engine {

Counters::Counters() {
  for (const auto name : proto::Words<proto::DriftKind>::kAll)
    drift_detected[std::string{name}] = drift_repaired[std::string{name}] = 0;
  for (const auto* result : {"good", "failed", "rolled_back", "superseded"}) rollouts[result] = 0;
  for (const auto* trigger : {"operator", "automatic"})
    rollbacks[trigger] = 0, last_rollback[trigger] = 0;
  for (const auto* cause : {"memory", "operator"}) standby_dropped[cause] = 0;
  for (const auto* stage : {"before", "after", "on_rollback"}) {
    for (const auto* result : {"success", "failure"}) hooks[{stage, result}] = 0;
  }
  for (const auto* result : {"success", "error"}) pulls[result] = 0;
  for (const auto phase : proto::Words<plan::Phase>::kAll)
    phase_seconds.try_emplace(std::string{phase}, Histogram{{.005, .01, .05, .1, .25, .5, 1, 2.5, 5,
                                                             10, 30, 60, 120, 300}});
  for (std::size_t i = 0; i < kErrcCount; ++i) errors[std::string{code(static_cast<Errc>(i))}] = 0;
}

void Counters::count(const Error& error) {
  ++errors[std::string{code(error.code())}];
  if (error.code() == Errc::digest_mismatch || error.code() == Errc::diffid_mismatch ||
      error.code() == Errc::size_mismatch)
    ++verification_failures;
}

void Histogram::observe(double value) {
  const auto bucket = std::lower_bound(bounds.begin(), bounds.end(), value) - bounds.begin();
  ++counts[static_cast<std::size_t>(bucket)];
  sum += value;
}

}  // namespace holdfast::deploy::engine
