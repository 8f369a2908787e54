#pragma once
/// \file
/// A damaged ledger is rebuilt from its newest whole backup and from what of the damaged file still
/// follows from it. Nothing is deleted.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "deploy/plan/model/model.hpp"
#include "proto/api/messages.hpp"

namespace holdfast::deploy::ledger {

struct RecoverOptions {
  bool dry_run = false;
  std::string actor;
  std::string reason;
  WallTime now{};
  std::vector<plan::ObservedInstance> running;  ///< what is on the host
};

/// Rebuilds the ledger of `state_dir`, on which nobody else works, or says what that would keep and
/// lose. The damaged files go to `ledger.damaged/<time>/`, the first new entry tells of it, and
/// what runs becomes the effective generation again where a generation that is left describes it;
/// else it is kept as it is until another one is good. Repeat safe after a kill at any instant.
/// Errors: conflict when nothing is damaged, nospace, io.
[[nodiscard]] Result<proto::api::LedgerRecovery> recover_ledger(
    const std::filesystem::path& state_dir, const RecoverOptions& options);

/// An operator's request, which the next start of the agent carries out before anything else.
struct RecoveryRequest {
  std::string actor;
  std::string reason;
};
[[nodiscard]] Status request_recovery(const std::filesystem::path& state_dir,
                                      const RecoveryRequest& request);
[[nodiscard]] std::optional<RecoveryRequest> requested_recovery(
    const std::filesystem::path& state_dir);
void forget_recovery(const std::filesystem::path& state_dir);

}  // namespace holdfast::deploy::ledger
