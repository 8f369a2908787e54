#pragma once
/// \file
/// The files of an instance, read and written by its id.

#include <optional>

#include "common/base/result.hpp"
#include "deploy/runtime/host/host.hpp"
#include "deploy/runtime/record/record.hpp"

namespace holdfast::deploy::runtime {

/// What the instance was made from. Of this boot the copy in the run directory counts: what became
/// of the file on the disk ends nothing that runs. Errors: io, when neither is a record of `id`.
[[nodiscard]] Result<InstanceRecord> read_record(const Host& host, const plan::InstanceId& id);
/// Into the run directory, beside the one on the disk. The bundle must exist.
[[nodiscard]] Status copy_record(const Host& host, const InstanceRecord& record);
/// Makes the two copies of the record of `id` alike again. True when that on the disk was not what
/// it had been. Nothing where none of this boot is left.
[[nodiscard]] Result<bool> mend_record(const Host& host, const plan::InstanceId& id);
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
