#pragma once
/// \file
/// What keeps changes from happening.

#include <string>

#include "agent/cli/commands/command.hpp"
#include "agent/cli/commands/context.hpp"

namespace holdfast::agent::cli {

struct HoldOptions {
  std::string reason;
  EndOptions end;
};
struct ResumeOptions {
  std::string reason;
};
struct QuarantineOptions {
  enum class Action : std::uint8_t { list, add, release } action = Action::list;
  std::string what;
  std::string reason;
  EndOptions end;
};

[[nodiscard]] ExitCode run_command(const Context& context, const HoldOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const ResumeOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const QuarantineOptions& options);

[[nodiscard]] std::unique_ptr<Command> add_hold(CLI::App& app);
[[nodiscard]] std::unique_ptr<Command> add_resume(CLI::App& app);
[[nodiscard]] std::unique_ptr<Command> add_quarantine(CLI::App& app);

}  // namespace holdfast::agent::cli
