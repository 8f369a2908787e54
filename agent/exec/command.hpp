#pragma once
/// \file
/// The command of a session: started by the OCI runtime, then a child of this process.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "agent/exec/relay.hpp"
#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/os/process.hpp"

namespace holdfast::agent::exec {

struct CommandSpec {
  std::vector<std::string> runtime;  ///< argv of the runtime's exec, detached
  std::filesystem::path pid_file;    ///< written by the runtime once the command runs
  std::filesystem::path console;     ///< socket for the terminal; empty: none
  bool input = false;
  proto::api::TerminalSize size{};
};

/// It began, or why not.
struct Started {
  os::UniqueFd pidfd;
  pid_t pid = 0;
  CommandEnds ends;
};

/// Runs the runtime and takes over what it started: this process has to be a subreaper. `control`
/// readable, or at its end: cancelled. Errors: runtime (its exit code in the text), timed_out,
/// cancelled, io.
[[nodiscard]] Result<Started> start_command(const CommandSpec& spec, int control);

/// How it ended, 128 + n after signal n; 137 where it was killed and has not ended `within` that
/// time. Its number may be given away afterwards.
[[nodiscard]] std::uint8_t exit_code_of(const Started& command, Milliseconds within);

}  // namespace holdfast::agent::exec
