#pragma once
/// \file
/// What was so.

#include <string>
#include <vector>

#include "agent/cli/commands/command.hpp"
#include "agent/cli/commands/context.hpp"

namespace holdfast::agent::cli {

struct HistoryOptions {
  std::uint64_t limit = 0;  ///< 0: all
};
struct ShowOptions {
  std::string what;
  bool document = false;  ///< only the YAML
};
struct DiffOptions {
  std::vector<std::string> sides;
  bool exit_code = false;
};

[[nodiscard]] ExitCode run_command(const Context& context, const HistoryOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const ShowOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const DiffOptions& options);

[[nodiscard]] std::unique_ptr<Command> add_history(CLI::App& app);
[[nodiscard]] std::unique_ptr<Command> add_show(CLI::App& app);
[[nodiscard]] std::unique_ptr<Command> add_diff(CLI::App& app);

}  // namespace holdfast::agent::cli
