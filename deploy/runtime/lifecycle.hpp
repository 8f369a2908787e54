#pragma once
/// \file
/// The steps of an instance's life. The caller serialises the calls for one instance
/// (ContainerRuntime).

#include <stop_token>

#include "common/base/result.hpp"
#include "deploy/runtime/host.hpp"
#include "deploy/runtime/instances.hpp"
#include "deploy/runtime/record.hpp"

namespace holdfast::deploy::runtime {

/// Everything up to the running program; on failure whatever exists of it is left for
/// `remove_instance`.
[[nodiscard]] Status create_instance(const Host& host, const InstanceSpec& spec,
                                     const std::stop_token& stop);

/// A new process in the same namespace, address and mounts. Errors: not_found, conflict (it runs),
/// runtime.
[[nodiscard]] Status restart_instance(const Host& host, const plan::InstanceId& id,
                                      const std::stop_token& stop);

/// Signal, wait, SIGKILL, wait for the exit file.
[[nodiscard]] Status stop_instance(const Host& host, const plan::InstanceId& id,
                                   Milliseconds timeout, const std::stop_token& stop);

/// From any half state; goes on after a failed step and returns the first error. Unknown id is
/// success.
[[nodiscard]] Status remove_instance(const Host& host, const plan::InstanceId& id);

/// Conmon, container, proof of confinement, program. Shared by create and restart. `run` comes back
/// with what is running.
[[nodiscard]] Status start_process(const Host& host, const InstanceRecord& record, RunState& run,
                                   const std::stop_token& stop);

/// Ends what is left of an earlier process of the instance: container, conmon, files of both. Its
/// group and mounts stay.
[[nodiscard]] Status clear_process(const Host& host, const plan::InstanceId& id,
                                   const RunState& run);

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
