#pragma once
/// \file
/// Changes, and what they would do.

#include <string>

#include "agent/cli/commands/command.hpp"
#include "agent/cli/commands/context.hpp"

namespace holdfast::agent::cli {

struct PlanOptions {
  std::string file;
  bool now = false;
  bool rollback = false;
  std::uint64_t to = 0;
  bool exit_code = false;  ///< 6 when there are changes
};
struct ApplyOptions {
  static constexpr bool kOutlivesUs = true;
  std::string file;
  std::string reason;
  bool dry_run = false;
  bool now = false;
  bool break_glass = false;
  WaitOptions wait;
};
struct RollbackOptions {
  static constexpr bool kOutlivesUs = true;
  std::uint64_t to = 0;
  std::string reason;
  bool dry_run = false;
  WaitOptions wait;
};

[[nodiscard]] ExitCode run_command(const Context& context, const PlanOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const ApplyOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const RollbackOptions& options);

[[nodiscard]] std::unique_ptr<Command> add_plan(CLI::App& app);
[[nodiscard]] std::unique_ptr<Command> add_apply(CLI::App& app);
[[nodiscard]] std::unique_ptr<Command> add_rollback(CLI::App& app);

}  // namespace holdfast::agent::cli
