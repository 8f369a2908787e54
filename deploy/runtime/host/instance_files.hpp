#pragma once
/// \file
/// The files of an instance, read and written by its id.

#include <optional>

#include "common/base/result.hpp"
#include "deploy/runtime/host/host.hpp"
#include "deploy/runtime/record/record.hpp"

namespace holdfast::deploy::runtime {

[[nodiscard]] Result<InstanceRecord> read_record(const Host& host, const plan::InstanceId& id);
[[nodiscard]] Result<RunState> read_run_state(const Host& host, const plan::InstanceId& id);
[[nodiscard]] Status write_run_state(const Host& host, const plan::InstanceId& id,
                                     const RunState& run);

/// How its last process ended; nothing while conmon has not written it down.
[[nodiscard]] std::optional<plan::ExitInfo> read_exit(const Host& host, const plan::InstanceId& id);

/// To exactly this process, also when its pid has been given away meanwhile.
void send_signal(const ProcessId& process, int signo);

/// Ids become file names, cgroups and arguments: [A-Za-z0-9][A-Za-z0-9_.-]{0,63} (T-57). Errors:
/// usage.
[[nodiscard]] Status check_id(const plan::InstanceId& id);

}  // namespace holdfast::deploy::runtime
