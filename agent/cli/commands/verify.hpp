#pragma once
/// \file
/// Whether a host would accept a signed document, and why not.

#include <string>
#include <vector>

#include "agent/cli/commands/command.hpp"
#include "agent/cli/commands/context.hpp"

namespace holdfast::agent::cli {

struct VerifyOptions {
  std::string file;
  std::string root;
  std::uint64_t floor = 0;          ///< serial that a host has accepted
  std::vector<std::string> labels;  ///< of a host: "role=web"
  std::string at;                   ///< time to judge by; empty: now
};

[[nodiscard]] ExitCode run_command(const Context& context, const VerifyOptions& options);
[[nodiscard]] std::unique_ptr<Command> add_verify(CLI::App& app);

}  // namespace holdfast::agent::cli
