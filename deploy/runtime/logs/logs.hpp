#pragma once
/// \file
/// Log files of services: the k8s-file format, and what is kept of removed instances.

#include <filesystem>
#include <optional>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/base/strong.hpp"
#include "deploy/runtime/logs/log_line.hpp"
#include "deploy/runtime/record/paths.hpp"

namespace holdfast::deploy::runtime {

/// "2026-11-23T09:24:15.123456789+00:00 stdout F text". Pure; nothing for a line of another form (a
/// torn first line).
[[nodiscard]] std::optional<LogLine> parse_log_line(std::string_view line);

/// What is kept of the logs of removed instances.
struct LogKeep {
  Bytes total;  ///< of all logs of a service, those of its present instances included
  WallTime now{};
};

/// Keeps of the instances of `service` that are gone the three newest logs for a week after their
/// last line, and of these the newest lines for which `keep.total` has room beside the logs of the
/// present ones, at least 64 KiB of each: they tell why a rollout failed. An instance is present
/// while its directory in instances/ is there. Errors: io.
[[nodiscard]] Status prune_logs(const Paths& paths, const proto::ServiceName& service,
                                const LogKeep& keep);
/// The same for every service that has logs.
[[nodiscard]] Status prune_logs(const Paths& paths, const LogKeep& keep);

}  // namespace holdfast::deploy::runtime
