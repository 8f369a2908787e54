#pragma once
/// \file
/// What is going on.

#include <optional>
#include <string>
#include <vector>

#include "agent/cli/commands/command.hpp"
#include "agent/cli/commands/context.hpp"

namespace holdfast::agent::cli {

struct LogsOptions {
  std::string service;
  bool follow = false;
  bool times = false;
  std::string since;
  std::optional<std::uint64_t> tail;
};
struct EventsOptions {
  bool follow = false;
  std::string since;
  std::vector<std::string> kinds;
};

[[nodiscard]] ExitCode run_command(const Context& context, const LogsOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const EventsOptions& options);

[[nodiscard]] std::unique_ptr<Command> add_logs(CLI::App& app);
[[nodiscard]] std::unique_ptr<Command> add_events(CLI::App& app);

}  // namespace holdfast::agent::cli
