#pragma once
/// \file
/// Whether this host can do its work.

#include <string>

#include "agent/cli/commands/command.hpp"
#include "agent/cli/commands/context.hpp"

namespace holdfast::agent::cli {

struct DoctorOptions {
  std::string config;
};

[[nodiscard]] ExitCode run_command(const Context& context, const DoctorOptions& options);

[[nodiscard]] std::unique_ptr<Command> add_doctor(CLI::App& app);

}  // namespace holdfast::agent::cli
