#pragma once
/// \file
/// shutdown: holdfast-shutdown.service runs it when it is stopped.

#include <string>

#include "agent/cli/commands/command.hpp"
#include "agent/cli/commands/context.hpp"

namespace holdfast::agent::cli {

struct ShutdownOptions {
  std::string within = "10m";
  bool force = false;
};

[[nodiscard]] ExitCode run_command(const Context& context, const ShutdownOptions& options);

[[nodiscard]] std::unique_ptr<Command> add_shutdown(CLI::App& app);

}  // namespace holdfast::agent::cli
