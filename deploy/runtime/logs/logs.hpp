#pragma once
/// \file
/// Log files of services: the k8s-file format, rotation that loses nothing, and what is kept of
/// removed instances.

#include <filesystem>
#include <optional>
#include <set>
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

/// Where the log of `id` is too large: the file becomes <id>.log.1, and conmon opens a new one.
/// conmon goes on writing to the renamed file until it has done so, so nothing is lost (its own
/// --log-size-max truncates, packaging/doc/security.md 3.6). Without conmon nothing grows and
/// nothing is done. Errors: io, nospace.
[[nodiscard]] Status rotate_log(const Paths& paths, const proto::ServiceName& service,
                                const InstanceId& id, Bytes max_size);

/// Deletes logs of removed instances but the 3 newest of each service, and all of them a week after
/// their last line. `present` names the instances that exist.
[[nodiscard]] Status prune_logs(const Paths& paths, const std::set<InstanceId>& present,
                                WallTime now);

}  // namespace holdfast::deploy::runtime
