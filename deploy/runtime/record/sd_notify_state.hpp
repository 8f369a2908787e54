#pragma once
/// \file
/// What a service said of itself over its notify socket (sd_notify(3)), and what that means for its
/// health. Pure.

#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::deploy::runtime {

struct SdNotifyState {
  bool ready = false;                ///< READY=1 since the process's start
  bool stopping = false;             ///< STOPPING=1
  bool gave_up = false;              ///< WATCHDOG=trigger
  std::optional<BootTime> watchdog;  ///< last WATCHDOG=1; none: it never sent one
  std::string status;                ///< last STATUS=, as it was sent
};

/// Whether the service is asked to notify.
[[nodiscard]] bool uses_sd_notify(const proto::Service& service);

/// Takes one datagram: lines of NAME=value; what is not known is passed over.
void take_datagram(SdNotifyState& state, std::string_view datagram, BootTime now);

/// Services are asked to send WATCHDOG=1 at least this often (WATCHDOG_USEC): twice the interval of
/// the health rule.
[[nodiscard]] Milliseconds watchdog_time(const proto::HealthRule& rule);

struct NotifiedVerdict {
  bool healthy = false;
  std::string detail;
};
/// Ready, not stopping, and with a watchdog that is not overdue. Who never sends WATCHDOG=1 is not
/// held to it.
[[nodiscard]] NotifiedVerdict judge(const SdNotifyState& state, const proto::HealthRule& rule,
                                    BootTime now);

}  // namespace holdfast::deploy::runtime
