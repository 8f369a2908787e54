#include "agent/cli/render/exit_code.hpp"

#include <algorithm>

namespace holdfast::agent::cli {
namespace {

/// For the error in an outcome. Only what says something about the change itself: its "unreachable"
/// is a registry, its "timed out" a deadline of the rollout, not of this program.
ExitCode exit_code_of_reason(const proto::api::ErrorBody& reason) noexcept {
  const auto known = errc_from_code(reason.code);
  const auto exit = known ? exit_code_of(*known) : ExitCode::error;
  return exit == ExitCode::rejected || exit == ExitCode::held ? exit : ExitCode::error;
}

}  // namespace

ExitCode exit_code_of(Errc code) noexcept {
  switch (code) {
    case Errc::usage:
      return ExitCode::usage;
    case Errc::ref_invalid:
    case Errc::digest_unsupported:
    case Errc::digest_mismatch:
    case Errc::size_mismatch:
    case Errc::too_large:
    case Errc::media_type:
    case Errc::platform:
    case Errc::spec_parse:
    case Errc::spec_expired:
    case Errc::spec_rollback:
    case Errc::spec_equivocation:
    case Errc::spec_target:
    case Errc::spec_threshold:
    case Errc::policy:
    case Errc::sig_missing:
    case Errc::sig_invalid:
    case Errc::sig_identity:
    case Errc::layer_unsafe:
    case Errc::layer_limit:
    case Errc::diffid_mismatch:
      return ExitCode::rejected;
    case Errc::quarantined:
    case Errc::held:
      return ExitCode::held;
    case Errc::unreachable:
      return ExitCode::unreachable;
    case Errc::perm:
      return ExitCode::not_allowed;
    case Errc::timed_out:
      return ExitCode::timed_out;
    case Errc::cancelled:
      return ExitCode::interrupted;
    case Errc::auth:
    case Errc::tls:
    case Errc::redirect:
    case Errc::ssrf:
    case Errc::rate_limited:
    case Errc::net_timeout:
    case Errc::net_slow:
    case Errc::registry:
    case Errc::not_found:
    case Errc::layer_corrupt:
    case Errc::user:
    case Errc::runtime:
    case Errc::cni:
    case Errc::conmon:
    case Errc::port_in_use:
    case Errc::unhealthy:
    case Errc::host:
    case Errc::nospace:
    case Errc::io:
    case Errc::ledger_corrupt:
    case Errc::ledger_truncated:
    case Errc::busy:
    case Errc::conflict:
    case Errc::internal:
      return ExitCode::error;
  }
  return ExitCode::error;
}

ExitCode exit_code_of_apply(const proto::api::Outcome& outcome) noexcept {
  if (outcome.result == "good" || outcome.result == "unchanged") return ExitCode::done;
  if (outcome.result == "rolled_back") return ExitCode::rolled_back;
  if (outcome.result == "waiting") return ExitCode::held;
  return outcome.error ? exit_code_of_reason(*outcome.error) : ExitCode::error;
}

ExitCode exit_code_of_rollback(const proto::api::Outcome& outcome) noexcept {
  if (outcome.result == "rolled_back" && !outcome.error) return ExitCode::done;
  return exit_code_of_apply(outcome);
}

ExitCode exit_code_of_status(const proto::api::Status& status) noexcept {
  if (status.state == "held") return ExitCode::held;
  if (status.state == "degraded" || status.state == "reverting") return ExitCode::degraded;
  if (status.source && status.source->state == "stale") return ExitCode::degraded;
  return needs_a_look(status.drift) ? ExitCode::degraded : ExitCode::done;
}

bool is_bad(const proto::api::ServiceStatus& service) noexcept {
  return service.crash_looping || service.health == "unhealthy" || is_bad(service.state);
}

bool is_bad(proto::Word<proto::api::ServiceState> state) noexcept {
  return state == "missing" || state == "exited" || state == "backoff" || state == "frozen" ||
         state == "unsupervised" || state == "broken";
}

bool needs_a_look(const std::vector<proto::api::DriftItem>& drift) noexcept {
  return std::any_of(drift.begin(), drift.end(), [](const auto& item) {
    return item.kind != "writes" || item.action != "report";
  });
}

}  // namespace holdfast::agent::cli
