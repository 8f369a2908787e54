#pragma once
/// \file
/// conmon: the small process that outlives the agent, holds the service's output and writes down
/// how it ended (packaging/doc/security.md 3.6; conmon 2.1.6).

#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "deploy/runtime/host/oci_runtime.hpp"
#include "deploy/runtime/record/record.hpp"

namespace holdfast::deploy::runtime {

struct ConmonRequest {
  plan::InstanceId id;
  std::string name;  ///< of the service, for its log
  std::filesystem::path bundle;
  std::filesystem::path exits;  ///< directory of exit files
  std::filesystem::path log;    ///< k8s-file: the FIFO of its writer
  const OciRuntime& runtime;
  std::function<Status(pid_t)>
      place;  ///< moves conmon to its own control group before it starts anything
};

struct Supervised {
  ProcessId init;
  ProcessId conmon;
};

/// Starts conmon, which has the runtime create the container; the program itself does not run yet.
/// After a failure the caller deletes what the runtime may have left. Errors: conmon (not
/// installed, ended early), runtime (its reason), timed_out (60 s).
[[nodiscard]] Result<Supervised> create_supervised(const ConmonRequest& request,
                                                   const std::stop_token& stop);

/// Ends a conmon and what it started that is not a container (a hung runtime). Not running is
/// success.
void end_conmon(const ProcessId& conmon);

/// Conmons that serve this bundle, found by their arguments; for instances whose agent died before
/// it had written down which.
[[nodiscard]] std::vector<ProcessId> find_conmons(const std::filesystem::path& bundle);

/// The pid in a pidfile, identified. Errors: not_found.
[[nodiscard]] Result<ProcessId> identify_file(const std::filesystem::path& pid_file);

/// Errors: conmon, when it is not installed, with what to install. Returns its version.
[[nodiscard]] Result<std::string> probe_conmon();

}  // namespace holdfast::deploy::runtime
