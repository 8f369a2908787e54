#pragma once
/// \file
/// Why a service, or the host, stands as it does.

#include <string>

#include "agent/cli/commands/command.hpp"
#include "agent/cli/commands/context.hpp"

namespace holdfast::agent::cli {

struct WhyOptions {
  std::string service;  ///< empty: the host, and every service that is not as it should be
};

[[nodiscard]] ExitCode run_command(const Context& context, const WhyOptions& options);

[[nodiscard]] std::unique_ptr<Command> add_why(CLI::App& app);

}  // namespace holdfast::agent::cli
