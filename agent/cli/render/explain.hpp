#pragma once
/// \file
/// Why a service, or the host as a whole, stands as it does: sentences with what proves them. Pure.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/cli/render/look.hpp"
#include "common/base/clock.hpp"
#include "proto/api/messages.hpp"

namespace holdfast::agent::cli {

/// One cause, what proves it, and what to do about it.
struct Reason {
  std::string what;
  std::vector<std::string> evidence;
  std::string next;  ///< a command or an advice; empty: none
};

enum class Standing : std::uint8_t {
  good,     ///< as it should be: the reasons are news, no causes
  waiting,  ///< for something that comes by itself, or as an operator wanted it
  bad,
};
/// "good", "waiting", "bad".
[[nodiscard]] std::string_view to_string(Standing standing);

struct Explanation {
  std::string subject;   ///< a service; empty: the host
  std::string sentence;  ///< how it stands
  Standing standing = Standing::good;
  std::vector<Reason> reasons;
};

/// `recent` are the last entries of the ledger, oldest first; none where it cannot be read.
[[nodiscard]] Explanation explain_service(const proto::api::Status& status,
                                          const proto::api::ServiceStatus& service,
                                          std::span<const proto::api::LedgerEntry> recent,
                                          WallTime now);
/// Of a service that is not part of what runs. Without reasons: `recent` does not tell of it
/// either.
[[nodiscard]] Explanation explain_absent(const proto::api::Status& status,
                                         const std::string& service,
                                         std::span<const proto::api::LedgerEntry> recent,
                                         WallTime now);
/// What concerns no service alone: a rollout, a hold, a quarantine, the source, the host's drift.
[[nodiscard]] Explanation explain_host(const proto::api::Status& status,
                                       std::span<const proto::api::LedgerEntry> recent,
                                       WallTime now);

[[nodiscard]] std::string why_view(std::span<const Explanation> all, const Look& look);
/// A JSON array of them.
[[nodiscard]] std::string why_json(std::span<const Explanation> all);

}  // namespace holdfast::agent::cli
