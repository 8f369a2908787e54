#pragma once
/// \file
/// The steps of an instance's life. The caller serialises the calls for one instance
/// (ContainerRuntime).

#include <stop_token>

#include "common/base/result.hpp"
#include "deploy/runtime/host/host.hpp"
#include "deploy/runtime/host/instance_files.hpp"
#include "deploy/runtime/instances.hpp"
#include "deploy/runtime/logs/logs.hpp"
#include "deploy/runtime/record/record.hpp"

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
[[nodiscard]] Result<StopOutcome> stop_instance(const Host& host, const plan::InstanceId& id,
                                                const proto::StopRule& rule,
                                                const std::stop_token& stop);

/// From any half state; goes on after a failed step and returns the first error. Unknown id is
/// success.
[[nodiscard]] Status remove_instance(const Host& host, const plan::InstanceId& id);

/// Conmon, container, proof of confinement, program. Shared by create and restart. `run` comes back
/// with what is running.
[[nodiscard]] Status start_process(const Host& host, const InstanceRecord& record, RunState& run,
                                   const std::stop_token& stop);

/// The process that writes down what an instance says, before its conmon; also in the place of one
/// that was killed.
[[nodiscard]] Result<ProcessId> start_log_writer(const Host& host, const InstanceRecord& record,
                                                 const std::stop_token& stop);

/// How much of the logs of a service stays.
[[nodiscard]] LogKeep log_keep(const Host& host);

/// Ends what is left of an earlier process of the instance: container, conmon, files of both. Its
/// group and mounts stay.
[[nodiscard]] Status clear_process(const Host& host, const plan::InstanceId& id,
                                   const RunState& run);

}  // namespace holdfast::deploy::runtime
