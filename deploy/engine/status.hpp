#pragma once
/// \file
/// From what the engine knows to what the API and the metrics show. Pure.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "deploy/engine/jobs/drift_log.hpp"
#include "deploy/engine/snapshot.hpp"
#include "deploy/engine/state/journal.hpp"

namespace holdfast::deploy::engine {

struct StatusInput {
  const plan::Progress& progress;
  const plan::Observed& observed;
  const Counters& counters;
  const std::map<std::string, DriftLog::Item>& drift;
  const Records& records;
  const proto::api::RollbackReadiness& rollback;
  const std::optional<Journal::Refusal>& refusal;  ///< why the ledger takes nothing
  BootTime boot{};
  WallTime wall{};
  WallTime since{};        ///< start of the agent
  BootTime since_boot{};   ///< the same
  std::string disk_low{};  ///< why its file system is too full; empty: it is not
};

/// How every declared service stands; of a first rollout that has not begun, what it will run.
[[nodiscard]] std::vector<proto::api::ServiceStatus> services_status(const StatusInput& in);
/// Gives one word for the whole, the worst that holds, and one line that says why.
[[nodiscard]] proto::api::Status make_status(const StatusInput& in);
/// The part of the gauges that follows from the same.
[[nodiscard]] Gauges make_gauges(const StatusInput& in);
/// All that is declared runs and is healthy. False: nothing is declared.
[[nodiscard]] bool all_healthy(const proto::api::Status& status);

}  // namespace holdfast::deploy::engine
