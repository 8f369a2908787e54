#pragma once
/// \file
/// Roots of trust: which keys count, from one version to the next.

#include <string>
#include <vector>

#include "agent/cli/commands/command.hpp"
#include "agent/cli/commands/context.hpp"

namespace holdfast::agent::cli {

struct RootOptions {
  enum class Action : std::uint8_t { init, next } action = Action::init;
  std::string current;     ///< next: the version before
  std::string deployment;  ///< init
  std::vector<std::string> root_keys;
  std::vector<std::string> signers;
  std::uint64_t root_threshold = 0;  ///< 0: as it was; of the first version 1
  std::uint64_t threshold = 0;
  std::string expires = "365d";
  std::vector<std::string> keys;  ///< private ones that sign it
  std::string passphrase_file;
  std::string out;
};

[[nodiscard]] ExitCode run_command(const Context& context, const RootOptions& options);
[[nodiscard]] std::unique_ptr<Command> add_root(CLI::App& app);

}  // namespace holdfast::agent::cli
