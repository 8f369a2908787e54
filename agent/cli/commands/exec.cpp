// exec: opens the session, then only carries bytes.
#include "agent/cli/commands/exec.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "agent/cli/client/exec_client.hpp"
#include "agent/cli/client/terminal.hpp"
#include "agent/cli/commands/register.hpp"
#include "common/os/environment.hpp"
#include "proto/api/exec_frames.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;

constexpr std::size_t kMostTerm = 64;

/// Which terminal this is, unless it was said.
void name_terminal(api::ExecRequest& request) {
  const bool named = std::any_of(request.env.begin(), request.env.end(),
                                 [](const auto& entry) { return entry.starts_with("TERM="); });
  const auto term = os::environment("TERM").value_or("");
  if (!named)
    request.env.push_back("TERM=" + (term.empty() || term.size() > kMostTerm ? "xterm" : term));
  const auto size = terminal_size().value_or(api::TerminalSize{});
  request.rows = size.rows;
  request.columns = size.columns;
}

Result<std::vector<std::string>> own_words(std::vector<std::string> command) {
  for (auto& word : command) {
    if (!word.starts_with(kForeignWord))
      return Error{Errc::usage, "the command has to stand after --"}.hint(
          "holdfast exec SERVICE -- COMMAND");
    word.erase(0, 1);
  }
  return command;
}

}  // namespace

ExitCode run_command(const Context& context, const ExecOptions& options) {
  if (options.terminal && options.input && !input_is_terminal())
    return report(context, Error{Errc::usage, "standard input is no terminal"}.hint(
                               "leave out -t: exec -i carries pipes and files as they are"));
  auto words = own_words(options.command);
  if (!words) return report(context, words.error());
  api::ExecRequest request{.service = options.service,
                           .instance = options.instance,
                           .command = std::move(*words),
                           .user = options.user,
                           .workdir = options.workdir,
                           .env = options.env,
                           .input = options.input,
                           .terminal = options.terminal};
  if (options.terminal) name_terminal(request);
  auto connection = context.agent.upgrade<"exec">(request, api::kExecProtocol);
  if (!connection) return report(context, connection.error());
  const auto end =
      carry_exec(std::move(*connection),
                 {.input = options.input ? ExecInput::standard : ExecInput::none,
                  .terminal = options.terminal ? ExecTerminal::standard : ExecTerminal::none});
  if (!end) return report(context, end.error());
  if (end->error) {
    report(context, *end->error);
    const auto known = errc_from_code(end->error->code);
    if (end->exit_code == 0) return known ? exit_code_of(*known) : ExitCode::error;
  }
  return static_cast<ExitCode>(end->exit_code);
}

std::unique_ptr<Command> add_exec(CLI::App& app) {
  auto made = std::make_unique<CommandOf<ExecOptions>>();
  auto& options = made->options;
  auto* exec =
      subcommand(app, "exec", "Run a command in the running instance of a service",
                 "  holdfast exec web -- nginx -T\n"
                 "  holdfast exec -it web -- sh\n"
                 "  holdfast exec -i db -- psql -U app < query.sql\n"
                 "  holdfast exec db -- pg_dump app > app.sql\n\n"
                 "The exit code is that of the command: 128 + n after signal n, 126 where it\n"
                 "cannot be run, 127 where there is none. With the session ends all that it\n"
                 "started. The ledger keeps the command, and of -e the names only: secrets go\n"
                 "there or into standard input.");
  exec->add_option("service", options.service, "Name of the service")
      ->required()
      ->type_name("SERVICE");
  exec->add_option("command", options.command, "Program and arguments, after --")
      ->required()
      ->type_name("-- COMMAND");
  exec->add_flag("-i,--stdin", options.input, "Pass standard input on");
  exec->add_flag("-t,--tty", options.terminal, "Give it a terminal");
  exec->add_option("--instance", options.instance, "Instead of the one that serves")
      ->type_name("ID");
  exec->add_option("-u,--user", options.user, "User[:group] of the image, by name or number")
      ->type_name("USER");
  exec->add_option("-w,--workdir", options.workdir, "Directory to start in")->type_name("PATH");
  exec->add_option("-e,--env", options.env, "Set a variable; may be repeated")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  return made;
}

}  // namespace holdfast::agent::cli
