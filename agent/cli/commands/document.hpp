#pragma once
/// \file
/// Deployment documents on the command line: read, checked here before the agent is asked.

#include <string>
#include <string_view>

#include "agent/cli/commands/command.hpp"
#include "agent/cli/commands/context.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::agent::cli {

struct Document {
  std::string name;  ///< file name for messages; "stdin" for -
  std::string text;
};

/// A file, or stdin for "-"; at most 1 MiB. Errors: not_found, perm, too_large, io.
[[nodiscard]] Result<Document> read_document(const std::string& path);

/// A document that was read and checked; every fault went to stderr, one a line.
struct Checked {
  std::optional<proto::Deployment> deployment;  ///< none: it has faults
  std::string faults;                           ///< all of them, one a line
};
[[nodiscard]] Checked check_document(const Context& context, const Document& document);

struct SchemaOptions {};
struct LintOptions {
  std::vector<std::string> files;
};

[[nodiscard]] ExitCode run_command(const Context& context, const SchemaOptions& options);
[[nodiscard]] ExitCode run_command(const Context& context, const LintOptions& options);

[[nodiscard]] std::unique_ptr<Command> add_schema(CLI::App& app);
[[nodiscard]] std::unique_ptr<Command> add_lint(CLI::App& app);

}  // namespace holdfast::agent::cli
