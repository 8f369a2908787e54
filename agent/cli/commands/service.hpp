#pragma once
/// \file
/// stop, start, restart: one service, by an operator's word.

#include <string>

#include "agent/cli/commands/command.hpp"
#include "agent/cli/commands/context.hpp"

namespace holdfast::agent::cli {

struct StopOptions {
  static constexpr bool kOutlivesUs = true;
  std::string service;
  std::string reason;
  EndOptions end;
  WaitOptions wait;
};
struct StartOptions {
  static constexpr bool kOutlivesUs = true;
  std::string service;
  std::string reason;
  WaitOptions wait;
};
struct RestartOptions {
  static constexpr bool kOutlivesUs = true;
  std::string service;
  std::string reason;
  WaitOptions wait;
};

[[nodiscard]] ExitCode run_command(const Context& context, const StopOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const StartOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const RestartOptions& options);

[[nodiscard]] std::unique_ptr<Command> add_stop(CLI::App& app);
[[nodiscard]] std::unique_ptr<Command> add_start(CLI::App& app);
[[nodiscard]] std::unique_ptr<Command> add_restart(CLI::App& app);

}  // namespace holdfast::agent::cli
