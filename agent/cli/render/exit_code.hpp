#pragma once
/// \file
/// The stable exit codes of `holdfast` (packaging/doc/design.md 9). Scripts rely on them.

#include <string_view>

#include "common/base/error.hpp"
#include "proto/api/messages.hpp"

namespace holdfast::agent::cli {

enum class ExitCode : int {
  done = 0,
  error = 1,
  usage = 2,
  rejected = 3,     ///< invalid, unsigned, unpinned: nothing was changed
  rolled_back = 4,  ///< the change failed and the agent went back
  held = 5,         ///< held or quarantined
  degraded = 6,     ///< degraded or drifted
  unreachable = 7,  ///< no agent answers on the socket
  not_allowed = 8,
  timed_out = 9,      ///< the wait ended, the change goes on
  interrupted = 130,  ///< Ctrl-C; the change goes on
};

/// For an error of this program or one the agent answered with. `Errc::unreachable` means the agent
/// itself: what the agent could not reach arrives as another code (see agent_client.hpp).
[[nodiscard]] ExitCode exit_code_of(Errc code) noexcept;

/// For the end of an `apply`: a rollback is never a success.
[[nodiscard]] ExitCode exit_code_of_apply(const proto::api::Outcome& outcome) noexcept;
/// For the end of a `rollback`: going back is what was asked for.
[[nodiscard]] ExitCode exit_code_of_rollback(const proto::api::Outcome& outcome) noexcept;
/// For `status`: 5 when held, 6 when degraded, reverting or drifted.
[[nodiscard]] ExitCode exit_code_of_status(const proto::api::Status& status) noexcept;

/// It does not serve, or fails again and again, and somebody should look.
[[nodiscard]] bool is_bad(const proto::api::ServiceStatus& service) noexcept;
[[nodiscard]] bool is_bad(proto::Word<proto::api::ServiceState> state) noexcept;

/// Any of it but writes into a root that may be written to, which are told and nothing more.
[[nodiscard]] bool needs_a_look(const std::vector<proto::api::DriftItem>& drift) noexcept;

}  // namespace holdfast::agent::cli
