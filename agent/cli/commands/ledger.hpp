#pragma once
/// \file
/// The tamper-evident history.

#include <string>

#include "agent/cli/commands/command.hpp"
#include "agent/cli/commands/context.hpp"

namespace holdfast::agent::cli {

struct LedgerOptions {
  enum class Action : std::uint8_t { verify, head, export_all, recover } action = Action::verify;
  std::uint64_t after = 0;
  bool dry_run = false;
  bool yes = false;
  std::string reason;
};

[[nodiscard]] ExitCode run_command(const Context& context, const LedgerOptions& options);
/// `ledger recover`.
[[nodiscard]] ExitCode recover_ledger(const Context& context, const LedgerOptions& options);

[[nodiscard]] std::unique_ptr<Command> add_ledger(CLI::App& app);

}  // namespace holdfast::agent::cli
