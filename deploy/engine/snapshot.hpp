#pragma once
/// \file
/// What the engine lets others see: an immutable picture after each reconcile pass.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "deploy/engine/state/counters.hpp"
#include "deploy/ledger/ledger.hpp"
#include "proto/api/messages.hpp"

namespace holdfast::deploy::engine {

/// What the metrics tell of the moment, beside what the status says. Instants are seconds since the
/// epoch; 0: never.
struct Gauges {
  std::map<std::string, std::uint64_t> drift_now;  ///< by kind
  std::map<std::string, std::uint64_t> waiting;  ///< a rollout waits, by cause: hold, window, soak
  std::map<std::string, std::uint32_t> relaxations;                  ///< by workload
  std::map<std::string, std::map<std::string, std::string>> labels;  ///< by workload; few and short
  std::uint64_t good_generation = 0;
  std::uint64_t rollback_ready_generations = 0;
  std::uint64_t quarantined = 0;
  double boot_to_healthy_seconds = 0;  ///< 0: not yet, in this life of the agent
  double last_change_timestamp = 0;
  double source_last_success_timestamp = 0;
  double rehearsal_timestamp = 0;  ///< of the last verdict
  std::string rehearsal_verdict;   ///< passed, failed, interrupted; empty: none
  double backup_timestamp = 0;     ///< of the last copy of the ledger in this life
  std::uint64_t backup_head = 0;   ///< number of its last entry
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
  Counters counters;
  Gauges gauges;
  ledger::Head head;
  bool ready = false;  ///< adoption is over, the first pass is done
  bool ledger_writable = true;
  bool repair_layers = true;  ///< what the drift policy says of damage on disk
};

}  // namespace holdfast::deploy::engine
