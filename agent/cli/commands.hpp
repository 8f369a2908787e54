#pragma once
/// \file
/// The commands. Each does its work, speaks through the context and returns the exit code; none
/// throws.

#include "agent/cli/context.hpp"
#include "agent/cli/options.hpp"

namespace holdfast::agent::cli {

[[nodiscard]] ExitCode run_command(const Context& context, const StatusOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const PlanOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const ApplyOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const RollbackOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const HoldOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const ResumeOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const QuarantineOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const RehearseOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const StandbyOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const HistoryOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const ShowOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const DiffOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const DriftOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const LogsOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const EventsOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const LedgerOptions& options);
/// `ledger recover`.
[[nodiscard]] ExitCode recover_ledger(const Context& context, const LedgerOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const DoctorOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const SchemaOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const LintOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const VersionOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const CompletionOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const CompleteOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const ImageOptions& options);

}  // namespace holdfast::agent::cli
