#include "agent/cli/commands/sync.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "agent/cli/commands/register.hpp"
#include "common/base/text.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;

/// Refused: 3; it could not be asked: 1.
ExitCode exit_code_of(const api::SourceStatus& source) {
  if (!source.refusal) return ExitCode::done;
  const auto code = errc_from_code(source.refusal->code);
  return code && disposition(*code) == Disposition::reject && *code != Errc::not_found
             ? ExitCode::rejected
             : ExitCode::error;
}

}  // namespace

ExitCode run_command(const Context& context, const SyncOptions&) {
  const auto answer = context.agent.call<"sync">();
  if (!answer) return report(context, answer.error());
  const auto& source = answer->value;
  if (context.json()) {
    (void)print_json(context, answer->body);
    return exit_code_of(source);
  }
  if (source.refusal) {
    report(context, *source.refusal);
    return exit_code_of(source);
  }
  print(fmt::format("{} {}{}\n", mark(Mark::good, context.out), printable(source.source),
                    source.serial > 0 ? fmt::format(": serial {}", source.serial) : ""));
  return ExitCode::done;
}

std::unique_ptr<Command> add_sync(CLI::App& app) {
  auto made = std::make_unique<CommandOf<SyncOptions>>();
  subcommand(app, "sync", "Ask the source of deployments now",
             "  holdfast sync\n  holdfast sync --output json");
  return made;
}

}  // namespace holdfast::agent::cli
