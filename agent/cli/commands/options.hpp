#pragma once
/// \file
/// What was asked for on the command line.

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "agent/cli/commands/command.hpp"
#include "agent/cli/commands/globals.hpp"
#include "agent/cli/completion/scripts.hpp"
#include "agent/cli/render/exit_code.hpp"

namespace holdfast::agent::cli {

struct Invocation {
  Globals globals;
  std::unique_ptr<Command> command;
};

/// Help, or a usage error: print and exit.
struct Leave {
  ExitCode exit = ExitCode::done;
  std::string out;
  std::string err;
};

/// Reads the command line; never throws. HOLDFAST_SOCKET and HOLDFAST_OUTPUT are the defaults of
/// their flags.
[[nodiscard]] std::variant<Invocation, Leave> parse_arguments(const std::vector<std::string>& args);

/// All commands, as CLI11 knows them: completions are made from it.
[[nodiscard]] CommandInfo command_tree();

}  // namespace holdfast::agent::cli
