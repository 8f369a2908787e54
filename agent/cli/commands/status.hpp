#pragma once
/// \file
/// What runs, and how it differs from what was declared.

#include <string>

#include "agent/cli/commands/command.hpp"
#include "agent/cli/commands/context.hpp"

namespace holdfast::agent::cli {

struct StatusOptions {
  std::string service;
  bool watch = false;
};
struct DriftOptions {
  std::string service;
};
struct VersionOptions {};

[[nodiscard]] ExitCode run_command(const Context& context, const StatusOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const DriftOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const VersionOptions& options);

/// There is none of this name; the next step names what is near, or what there is.
[[nodiscard]] Error unknown_service(const std::string& name, const proto::api::Status& status);

[[nodiscard]] std::unique_ptr<Command> add_status(CLI::App& app);
[[nodiscard]] std::unique_ptr<Command> add_drift(CLI::App& app);
[[nodiscard]] std::unique_ptr<Command> add_version(CLI::App& app);

}  // namespace holdfast::agent::cli
