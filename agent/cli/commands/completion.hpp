#pragma once
/// \file
/// Completions for shells.

#include <string>

#include "agent/cli/commands/command.hpp"
#include "agent/cli/commands/context.hpp"

namespace holdfast::agent::cli {

struct CompletionOptions {
  std::string shell;
};
/// Hidden: words for the shell, asked of the agent.
struct CompleteOptions {
  std::string what;  ///< services | generations | good-generations | images
};

/// Hidden: the manual page, for the packages.
struct ManualOptions {};

[[nodiscard]] ExitCode run_command(const Context& context, const CompletionOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const CompleteOptions& options);

[[nodiscard]] ExitCode run_command(const Context& context, const ManualOptions& options);

[[nodiscard]] std::unique_ptr<Command> add_completion(CLI::App& app);
[[nodiscard]] std::unique_ptr<Command> add_complete(CLI::App& app);
[[nodiscard]] std::unique_ptr<Command> add_manual(CLI::App& app);

}  // namespace holdfast::agent::cli
