#pragma once
/// \file
/// Asking the source now.

#include "agent/cli/commands/command.hpp"
#include "agent/cli/commands/context.hpp"

namespace holdfast::agent::cli {

struct SyncOptions {};

[[nodiscard]] ExitCode run_command(const Context& context, const SyncOptions& options);
[[nodiscard]] std::unique_ptr<Command> add_sync(CLI::App& app);

}  // namespace holdfast::agent::cli
