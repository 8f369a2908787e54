#pragma once
/// \file
/// exec: a command in the instance of a service.

#include <string>
#include <vector>

#include "agent/cli/commands/command.hpp"
#include "agent/cli/commands/context.hpp"

namespace holdfast::agent::cli {

/// How words after "--" begin when they come from parse_arguments.
inline constexpr char kForeignWord = '\x01';

struct ExecOptions {
  std::string service;
  std::vector<std::string> command;
  std::string instance;
  std::string user;
  std::string workdir;
  std::vector<std::string> env;
  bool input = false;
  bool terminal = false;
};

/// The code of the command, or that of an error of ours.
[[nodiscard]] ExitCode run_command(const Context& context, const ExecOptions& options);
[[nodiscard]] std::unique_ptr<Command> add_exec(CLI::App& app);

}  // namespace holdfast::agent::cli
