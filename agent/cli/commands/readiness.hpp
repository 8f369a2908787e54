#pragma once
/// \file
/// How ready the way back is.

#include <string>

#include "agent/cli/commands/command.hpp"
#include "agent/cli/commands/context.hpp"

namespace holdfast::agent::cli {

struct RehearseOptions {
  std::uint64_t generation = 0;  ///< 0: what a rollback would choose
  std::string reason;
  WaitOptions wait;
};
struct StandbyOptions {
  enum class Action : std::uint8_t { list, drop } action = Action::list;
  std::string reason;
};

[[nodiscard]] ExitCode run_command(const Context& context, const RehearseOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const StandbyOptions& options);

[[nodiscard]] std::unique_ptr<Command> add_rehearse(CLI::App& app);
[[nodiscard]] std::unique_ptr<Command> add_standby(CLI::App& app);

}  // namespace holdfast::agent::cli
