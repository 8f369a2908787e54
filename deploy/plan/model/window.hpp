#pragma once
/// \file
/// When a rollout may begin: `update.window` of the services it changes. Pure.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/time_zone.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::deploy::plan {

using Zones = std::map<std::string, TimeZone>;

/// Whether the window is open at this instant. Begin and end are the times that clocks show: a
/// night with a change of the clocks makes the window an hour longer or shorter. A time shown twice
/// is the first for the begin and the last for the end; one that is skipped is the instant of the
/// skip.
[[nodiscard]] bool is_open(const proto::UpdateWindow& window, const TimeZone& zone, WallTime at);

/// The first instant from `at` on when the window is open; none within nine days (a window whose
/// only hours are skipped).
[[nodiscard]] std::optional<WallTime> next_open(const proto::UpdateWindow& window,
                                                const TimeZone& zone, WallTime at);

struct Opening {
  std::optional<WallTime> at;  ///< none: never within five weeks, or the zone is not known
  std::string why_not;         ///< then, in words
};
/// How often `next_common` looks at a window before it gives up: some 4 ms, in
/// each pass of a rollout that waits.
inline constexpr int kMostWindowLooks = 5'000;
/// The first instant from `at` on when all windows are open; `at` itself without any.
[[nodiscard]] Opening next_common(const std::vector<proto::UpdateWindow>& windows,
                                  const Zones& zones, WallTime at);

/// Windows of the services that going from `before` to `after` creates, changes or removes. None
/// for a first deployment: nothing runs that it could disturb.
[[nodiscard]] std::vector<proto::UpdateWindow> windows_between(const proto::Deployment* before,
                                                               const proto::Deployment& after);

/// "2026-11-24 22:00 Europe/Berlin": an instant as the clocks of the first window show it.
[[nodiscard]] std::string local_text(WallTime at, const std::vector<proto::UpdateWindow>& windows,
                                     const Zones& zones);

}  // namespace holdfast::deploy::plan
