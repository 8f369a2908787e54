#pragma once
/// \file
/// Keys for those who publish.

#include <string>

#include "agent/cli/commands/command.hpp"
#include "agent/cli/commands/context.hpp"

namespace holdfast::agent::cli {

struct KeygenOptions {
  std::string name;
  std::string algorithm = "ed25519";
  std::string passphrase_file;
};

[[nodiscard]] ExitCode run_command(const Context& context, const KeygenOptions& options);
[[nodiscard]] std::unique_ptr<Command> add_keygen(CLI::App& app);

}  // namespace holdfast::agent::cli
