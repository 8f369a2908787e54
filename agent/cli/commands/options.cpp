#include "agent/cli/commands/options.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>

#include "agent/cli/commands/change.hpp"
#include "agent/cli/commands/completion.hpp"
#include "agent/cli/commands/doctor.hpp"
#include "agent/cli/commands/document.hpp"
#include "agent/cli/commands/exec.hpp"
#include "agent/cli/commands/history.hpp"
#include "agent/cli/commands/image.hpp"
#include "agent/cli/commands/keygen.hpp"
#include "agent/cli/commands/ledger.hpp"
#include "agent/cli/commands/readiness.hpp"
#include "agent/cli/commands/restrain.hpp"
#include "agent/cli/commands/root.hpp"
#include "agent/cli/commands/service.hpp"
#include "agent/cli/commands/shutdown.hpp"
#include "agent/cli/commands/sign.hpp"
#include "agent/cli/commands/status.hpp"
#include "agent/cli/commands/stream.hpp"
#include "agent/cli/commands/sync.hpp"
#include "agent/cli/commands/verify.hpp"
#include "agent/cli/commands/why.hpp"
#include "agent/cli/render/suggest.hpp"
#include "common/os/environment.hpp"

namespace holdfast::agent::cli {
namespace {

constexpr const char* kDefaultSocket = "/run/holdfast/holdfast.sock";

constexpr std::string_view kExitCodes =
    "Exit codes: 0 done, 1 error, 2 usage, 3 rejected (invalid, unsigned, unpinned),\n"
    "4 rolled back, 5 held or quarantined, 6 degraded or drifted,\n"
    "7 agent unreachable, 8 not allowed, 9 timed out.";

struct Slice {
  std::string_view name;
  std::unique_ptr<Command> (*add)(CLI::App&);
};
/// Every command, in the order of the help.
// clang-format off
constexpr std::array<Slice, 35> kSlices{{
    {"status", add_status},
    {"why", add_why},
    {"plan", add_plan},
    {"doctor", add_doctor},
    {"apply", add_apply},
    {"sync", add_sync},
    {"rollback", add_rollback},
    {"rehearse", add_rehearse},
    {"standby", add_standby},
    {"hold", add_hold},
    {"resume", add_resume},
    {"quarantine", add_quarantine},
    {"stop", add_stop},
    {"start", add_start},
    {"restart", add_restart},
    {"exec", add_exec},
    {"shutdown", add_shutdown},
    {"history", add_history},
    {"show", add_show},
    {"diff", add_diff},
    {"drift", add_drift},
    {"logs", add_logs},
    {"events", add_events},
    {"ledger", add_ledger},
    {"version", add_version},
    {"image", add_image},
    {"lint", add_lint},
    {"keygen", add_keygen},
    {"root", add_root},
    {"sign", add_sign},
    {"verify", add_verify},
    {"schema", add_schema},
    {"completion", add_completion},
    {"__complete", add_complete},
    {"__man", add_manual},
}};
// clang-format on

/// The program's options and the commands that were built.
class Tree {
 public:
  /// Of what begins with the name of a command that one alone: a service may wait for it, and
  /// building all of them is two thirds of the work of starting this program.
  explicit Tree(std::string_view first = {})
      : app_("Keeps this host running exactly what was declared.", "holdfast") {
    app_.require_subcommand(1);
    app_.fallthrough();
    app_.set_help_flag("-h,--help", "Show help and exit");
    app_.get_formatter()->column_width(24);
    app_.footer(
        std::string{"Start with: holdfast status. Help on one: holdfast COMMAND --help\n\n"} +
        std::string{kExitCodes});
    globals();
    const auto* only = std::find_if(kSlices.begin(), kSlices.end(),
                                    [&](const Slice& slice) { return slice.name == first; });
    if (only != kSlices.end()) {
      built_.emplace_back(only->name, only->add(app_));
      return;
    }
    for (const auto& slice : kSlices) built_.emplace_back(slice.name, slice.add(app_));
  }

  CLI::App& app() { return app_; }
  [[nodiscard]] const Globals& given_globals() const { return globals_; }
  /// The command that was named; once, after a parse without a fault.
  [[nodiscard]] std::unique_ptr<Command> chosen() {
    const auto named = app_.get_subcommands().front()->get_name();
    const auto found = std::find_if(built_.begin(), built_.end(),
                                    [&](const auto& each) { return each.first == named; });
    return std::move(found->second);
  }

 private:
  void globals();

  CLI::App app_;
  Globals globals_;
  std::vector<std::pair<std::string_view, std::unique_ptr<Command>>> built_;
};

void Tree::globals() {
  auto& g = globals_;
  g.socket = os::environment("HOLDFAST_SOCKET").value_or(kDefaultSocket);
  if (os::environment("HOLDFAST_OUTPUT") == "json") g.output = Output::json;
  app_.add_option("--socket", g.socket, "Socket of the agent (or HOLDFAST_SOCKET)")
      ->type_name("PATH");
  app_.add_option_function<std::string>(
          "-o,--output",
          [&g](const std::string& text) {
            g.output = text == "json" ? Output::json : Output::table;
          },
          "table for people, json for programs")
      ->check(CLI::IsMember({"table", "json"}))
      ->type_name("table|json");
  app_.add_flag("--no-color", g.no_color, "No colours (also: NO_COLOR)");
  app_.add_flag("-q,--quiet", g.quiet, "No progress and no remarks on stderr");
}

OptionInfo option_info(const CLI::Option& option) {
  OptionInfo info;
  for (const auto& name : option.get_snames()) info.names.push_back("-" + name);
  for (const auto& name : option.get_lnames()) info.names.push_back("--" + name);
  info.description = option.get_description();
  info.takes_value = option.get_items_expected_max() > 0;
  if (info.takes_value) {  // without what CLI11 adds of its check: "table|json:{table,json}"
    const auto value = option.get_type_name();
    info.value = value.substr(0, value.find(':'));
  }
  if (info.names.back() == "--output") info.choices = {"table", "json"};
  return info;
}

CommandInfo command_info(const CLI::App& app) {
  CommandInfo info{app.get_name(), app.get_description(), {}, {}, {}, app.get_footer()};
  for (const auto* option : app.get_options()) {
    if (option->get_positional()) {
      info.positional = option->get_type_name();
    } else {
      info.options.push_back(option_info(*option));
    }
  }
  for (const auto* sub : app.get_subcommands(nullptr))
    if (!sub->get_name().starts_with("_")) info.commands.push_back(command_info(*sub));
  return info;
}

/// The command named so far, however the parse ended.
const CLI::App* deepest(const CLI::App& app) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().back();
  return at;
}

std::vector<std::string> names_of_commands(const CLI::App& app) {
  std::vector<std::string> names;
  for (const auto* sub : app.get_subcommands(nullptr)) names.push_back(sub->get_name());
  return names;
}

Leave usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const auto* at = deepest(app);
  std::string name = at->get_name();
  for (const auto* up = at->get_parent(); up != nullptr; up = up->get_parent())
    name = up->get_name() + " " + name;
  // What a command does not know falls through to the program.
  if (const auto commands = names_of_commands(*at); !commands.empty())
    if (auto message = unknown_command(name, app.remaining(), commands); !message.empty())
      return {ExitCode::usage, {}, std::move(message)};
  std::vector<std::string> flags;
  for (const auto& info : {command_info(*at), command_info(app)})
    for (const auto& option : info.options)
      flags.insert(flags.end(), option.names.begin(), option.names.end());
  return {ExitCode::usage, {}, usage_message(name, error.what(), flags)};
}

/// CLI11 takes "[a,b]" for a list of two. What stands behind "--" of `exec` is another program's,
/// and is marked, so that it stays as it is.
std::vector<std::string> with_foreign_words_marked(const CLI::App& app,
                                                   std::vector<std::string> args) {
  const auto commands = names_of_commands(app);
  const auto command =
      std::find_first_of(args.begin(), args.end(), commands.begin(), commands.end());
  if (command == args.end() || *command != "exec") return args;
  auto word = std::find(command, args.end(), "--");
  if (word == args.end()) return args;
  for (++word; word != args.end(); ++word) word->insert(0, 1, kForeignWord);
  return args;
}

}  // namespace

std::variant<Invocation, Leave> parse_arguments(const std::vector<std::string>& args) {
  Tree tree{args.empty() ? std::string_view{} : args.front()};
  auto& app = tree.app();
  if (args.empty()) return Leave{ExitCode::usage, {}, app.help()};
  if (const auto message = unknown_command(app.get_name(), args, names_of_commands(app));
      !message.empty())
    return Leave{ExitCode::usage, {}, message};
  try {
    const auto words = with_foreign_words_marked(app, args);
    app.parse(std::vector<std::string>{words.rbegin(), words.rend()});
  } catch (const CLI::CallForHelp&) {
    return Leave{ExitCode::done, app.help(), {}};
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error);
  }
  return Invocation{tree.given_globals(), tree.chosen()};
}

CommandInfo command_tree() { return command_info(Tree{}.app()); }

}  // namespace holdfast::agent::cli
