#pragma once
/// \file
/// What the engine lets others see: an immutable picture after each step, and a stream of events.

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/base/error.hpp"
#include "deploy/ledger/ledger.hpp"
#include "proto/api/messages.hpp"

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

struct WorkloadFigures {
  std::uint64_t restarts = 0;
  std::uint64_t probes_success = 0;
  std::uint64_t probes_failure = 0;
  std::uint64_t probes_timeout = 0;
  std::uint64_t oom_kills = 0;
  int last_exit_code = 0;
  bool crash_looping = false;
  std::uint32_t relaxations = 0;
};

/// Counters and instants for the metrics; every known label value is present from the start.
struct Figures {
  std::map<std::string, WorkloadFigures> workloads;
  /// By workload, also of ones that left: they outlived the timeout of their stop rule.
  std::map<std::string, std::uint64_t> stop_kills;
  std::map<std::string, std::uint64_t>
      rollouts;  ///< by result: good, failed, rolled_back, superseded
  std::map<std::string, std::uint64_t> rollbacks;       ///< by trigger: operator, automatic
  std::map<std::string, Histogram> phase_seconds;       ///< by phase
  std::map<std::string, std::uint64_t> drift_detected;  ///< by kind
  std::map<std::string, std::uint64_t> drift_repaired;  ///< by kind
  std::map<std::string, std::uint64_t> drift_now;       ///< by kind
  std::map<std::string, std::uint64_t> pulls;           ///< by result: success, error
  std::uint64_t pull_bytes = 0;
  Histogram pull_seconds{{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}};
  std::map<std::string, std::uint64_t> errors;  ///< by E_ code
  std::uint64_t verification_failures = 0;
  std::uint64_t reconciles = 0;
  Histogram reconcile_seconds{{.0001, .0005, .001, .0025, .005, .01, .025, .05, .1, .5, 1}};
  std::uint64_t good_generation = 0;
  std::uint64_t rollback_ready_generations = 0;
  std::uint64_t quarantined = 0;
  std::map<std::string, std::uint64_t> waiting;  ///< a roll-out waits, by cause: hold, window
  double boot_to_healthy_seconds = 0;            ///< 0: not yet, in this life of the agent
  double last_change_timestamp = 0;              ///< seconds since the epoch; 0: never
  double source_last_success_timestamp = 0;
  std::map<std::pair<std::string, std::string>, std::uint64_t>
      hooks;                                             ///< by stage and result: success, failure
  std::map<std::string, std::uint64_t> standby_dropped;  ///< instances, by cause: memory, operator
  double rehearsal_timestamp = 0;                        ///< of the last verdict; 0: never
  std::string rehearsal_verdict;                         ///< passed, failed, cut_off; empty: none
  double backup_timestamp = 0;    ///< of the last copy of the ledger in this life; 0: none
  std::uint64_t backup_head = 0;  ///< number of its last entry
  std::uint64_t backup_failures = 0;
  std::uint64_t reset_connections = 0;  ///< cut at the end of a drain
};

/// What is listed of generations and documents: it grows with the life of the host and changes
/// seldom, so snapshots share it.
struct Records {
  std::vector<proto::api::HistoryItem> history;        ///< newest first
  bool history_complete = true;                        ///< false: the ledger holds older ones
  std::vector<proto::api::QuarantineItem> quarantine;  ///< oldest first
};

struct Snapshot {
  proto::api::Status status;
  std::shared_ptr<const Records> records = std::make_shared<const Records>();
  Figures figures;
  ledger::Head head;
  bool ready = false;  ///< adoption is over, the first pass is done
  bool ledger_writable = true;
  bool repair_layers = true;  ///< what the drift policy says of damage on disk
};

/// The last events, so many and 512 KiB at most, and who waits for more. Thread safe.
class EventLog {
 public:
  explicit EventLog(std::size_t capacity = 2048) : capacity_(capacity) {}

  /// Numbers the event and keeps it; wakes subscribers.
  void publish(proto::api::Event event);
  /// Events with number > `after`, oldest first. What has fallen out of the ring is missing.
  [[nodiscard]] std::vector<proto::api::Event> after(std::uint64_t number, std::size_t limit) const;
  [[nodiscard]] std::uint64_t last() const;
  /// `wake` is called after each publish, from the publishing thread, and must be quick. Returns a
  /// token for `unsubscribe`.
  std::uint64_t subscribe(std::function<void()> wake);
  void unsubscribe(std::uint64_t token);

 private:
  mutable std::mutex mutex_;
  std::size_t capacity_;
  std::size_t bytes_ = 0;
  std::uint64_t next_ = 1;
  std::deque<proto::api::Event> ring_;
  std::map<std::uint64_t, std::function<void()>> wakers_;
  std::uint64_t next_token_ = 1;
};

}  // namespace holdfast::deploy::engine
