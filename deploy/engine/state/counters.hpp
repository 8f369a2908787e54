#pragma once
/// \file
/// What the engine counts in this life of the agent, for the metrics.

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/base/error.hpp"

namespace holdfast::deploy::engine {

/// A histogram as Prometheus wants it: counts per bucket (not cumulative), the last one +Inf.
struct Histogram {
  explicit Histogram(std::vector<double> upper_bounds)
      : bounds(std::move(upper_bounds)), counts(bounds.size() + 1) {}
  void observe(double value);
  std::vector<double> bounds;
  std::vector<std::uint64_t> counts;
  double sum = 0;
};

struct WorkloadCounters {
  std::uint64_t restarts = 0;
  std::uint64_t probes_success = 0;
  std::uint64_t probes_failure = 0;
  std::uint64_t probes_timeout = 0;
  std::uint64_t oom_kills = 0;
  int last_exit_code = 0;
};

/// Counters only grow, and every known label value is present from the start. Not thread safe:
/// snapshots carry copies.
struct Counters {
  Counters();

  /// One more error that was handled.
  void count(const Error& error);

  std::map<std::string, WorkloadCounters> workloads;
  /// By workload, also of ones that left: they outlived the timeout of their stop rule.
  std::map<std::string, std::uint64_t> stop_kills;
  std::map<std::string, std::uint64_t>
      rollouts;  ///< by result: good, failed, rolled_back, superseded
  std::map<std::string, std::uint64_t> rollbacks;  ///< by trigger: operator, automatic
  std::map<std::string, double> last_rollback;     ///< by trigger, seconds since the epoch; 0: none
  std::map<std::string, Histogram> phase_seconds;  ///< by phase
  std::map<std::string, std::uint64_t> drift_detected;  ///< by kind
  std::map<std::string, std::uint64_t> drift_repaired;  ///< by kind
  std::map<std::string, std::uint64_t> pulls;           ///< by result: success, error
  std::uint64_t pull_bytes = 0;
  Histogram pull_seconds{{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}};
  std::map<std::string, std::uint64_t> errors;  ///< by E_ code
  std::uint64_t verification_failures = 0;
  std::uint64_t reconciles = 0;
  Histogram reconcile_seconds{{.0001, .0005, .001, .0025, .005, .01, .025, .05, .1, .5, 1}};
  std::map<std::pair<std::string, std::string>, std::uint64_t>
      hooks;                                             ///< by stage and result: success, failure
  std::map<std::string, std::uint64_t> standby_dropped;  ///< instances, by cause: memory, operator
  std::uint64_t reset_connections = 0;                   ///< cut at the end of a drain
  std::uint64_t backup_failures = 0;
};

}  // namespace holdfast::deploy::engine
