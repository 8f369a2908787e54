#pragma once
/// \file
/// What the slices share when they register their options.

#include <string>

#include "agent/cli/commands/command.hpp"

namespace holdfast::agent::cli {

/// Adds a command with its examples below its help.
CLI::App* subcommand(CLI::App& app, const char* name, const char* description,
                     const char* examples);
/// `--no-wait` and `--timeout`.
void wait_options(CLI::App* sub, WaitOptions& wait);
/// `--until` and `--for`, of which one may be given.
void end_options(CLI::App* sub, EndOptions& end);
/// What they say, as RFC 3339; empty without either. Errors: usage.
[[nodiscard]] Result<std::string> end_of(const EndOptions& end, WallTime now);

/// Checks: what is wrong with a number from 1 on, or from 0 on. CLI11 would take -1 for the
/// largest number there is.
[[nodiscard]] std::string whole(const std::string& text);
[[nodiscard]] std::string natural(const std::string& text);

}  // namespace holdfast::agent::cli
