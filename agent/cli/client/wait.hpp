#pragma once
/// \file
/// Waits for the end of a change that the agent accepted.

#include "agent/cli/client/agent_client.hpp"
#include "agent/cli/render/detail.hpp"
#include "agent/cli/render/progress.hpp"
#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "proto/api/messages.hpp"

namespace holdfast::agent::cli {

struct Ended {
  proto::api::Outcome outcome;
  Evidence evidence;
};

struct WaitFor {
  proto::api::Accepted accepted;
  BootTime deadline;
};

/// Follows the events from `accepted.since_event` until the `result` of its generation, showing
/// progress. An agent that restarts meanwhile is found again; what happened in between is read from
/// its history. Errors: timed_out, cancelled (in both cases the change goes on), perm, internal.
[[nodiscard]] Result<Ended> wait_for_end(AgentClient& agent, const Clock& clock,
                                         const WaitFor& wanted, ProgressPrinter& printer);

/// What status and history say about the end of `generation`; none while it goes on. Pure.
[[nodiscard]] std::optional<proto::api::Outcome> end_from_records(
    std::uint64_t generation, const proto::api::Status& status,
    const std::vector<proto::api::HistoryItem>& history);

}  // namespace holdfast::agent::cli
