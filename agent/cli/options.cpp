#include "agent/cli/options.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "agent/cli/image_options.hpp"
#include "agent/cli/suggest.hpp"
#include "common/base/text.hpp"
#include "common/os/environment.hpp"

namespace holdfast::agent::cli {
namespace {

constexpr const char* kDefaultSocket = "/run/holdfast/holdfast.sock";

constexpr std::string_view kExitCodes =
    "Exit codes: 0 done, 1 error, 2 usage, 3 rejected (invalid, unsigned, unpinned),\n"
    "4 rolled back, 5 held or quarantined, 6 degraded or drifted,\n"
    "7 agent unreachable, 8 not allowed, 9 timed out.";

/// CLI11 would take -1 for the largest number there is.
std::string whole(const std::string& text) {
  const auto number = parse_number(text);
  return number && *number > 0 ? std::string{} : "\"" + text + "\" is not a number from 1 on";
}

std::string natural(const std::string& text) {
  return parse_number(text) ? std::string{} : "\"" + text + "\" is not a number";
}

struct Everything {
  Globals globals;
  StatusOptions status;
  PlanOptions plan;
  std::vector<std::uint64_t> plan_rollback;
  ApplyOptions apply;
  RollbackOptions rollback;
  HoldOptions hold;
  ResumeOptions resume;
  QuarantineOptions quarantine;
  RehearseOptions rehearse;
  StandbyOptions standby;
  HistoryOptions history;
  ShowOptions show;
  DiffOptions diff;
  DriftOptions drift;
  LogsOptions logs;
  std::uint64_t tail = 0;
  EventsOptions events;
  LedgerOptions ledger;
  DoctorOptions doctor;
  LintOptions lint;
  CompletionOptions completion;
  CompleteOptions complete;
  ImageOptions image;
};

/// The commands and where their options land. `chosen` is set by the callback of the one that was
/// named.
class Tree {
 public:
  /// All commands; of what begins with `first` only what it may need, where a service waits for it:
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
    if (first == "rollback" || first == "apply") {
      change();
      return;
    }
    look();
    change();
    readiness();
    restrain();
    history();
    observe();
    add_image_command(app_, given_.image);
    files();
  }

  CLI::App& app() { return app_; }
  [[nodiscard]] const Globals& given_globals() const { return given_.globals; }
  [[nodiscard]] CommandOptions chosen();

 private:
  CLI::App* command(const char* name, const char* description, const char* examples) {
    auto* sub = app_.add_subcommand(name, description);
    sub->footer(std::string{"Examples:\n"} + examples);
    return sub;
  }
  void globals();
  void look();
  void change();
  void readiness();
  void restrain();
  void history();
  void observe();
  void ledger();
  void files();
  static void end_options(CLI::App* sub, EndOptions& end);
  static void wait_options(CLI::App* sub, WaitOptions& wait);

  CLI::App app_;
  Everything given_;
};

void Tree::globals() {
  auto& g = given_.globals;
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

void Tree::look() {
  auto* status = command("status", "What runs, and whether it is what was declared",
                         "  holdfast status\n  holdfast status web\n  holdfast status --watch\n"
                         "  holdfast status -o json | jq .state");
  status->add_option("service", given_.status.service, "Only this service, in detail")
      ->type_name("SERVICE");
  status->add_flag("-w,--watch", given_.status.watch, "Show again whenever it changes");

  auto* plan = command("plan", "What applying a document would change; touches nothing",
                       "  holdfast plan shop.yaml\n  holdfast plan - < shop.yaml\n"
                       "  holdfast plan --rollback\n  holdfast plan --rollback 41");
  plan->add_option("file", given_.plan.file, "Deployment document, - for stdin")->type_name("FILE");
  plan->add_option("--rollback", given_.plan_rollback,
                   "Plan a rollback: to generation N, or the last good one")
      ->expected(0, 1)
      ->check(whole)
      ->type_name("N");
  plan->add_flag("--exit-code", given_.plan.exit_code, "Exit with 6 when something would change");

  auto* doctor = command("doctor", "Check this host and say what to do",
                         "  holdfast doctor\n  holdfast doctor --config /etc/holdfast/agent.yaml");
  doctor->add_option("--config", given_.doctor.config, "Configuration of the agent")
      ->type_name("FILE");
}

void Tree::wait_options(CLI::App* sub, WaitOptions& wait) {
  sub->add_flag("--no-wait", wait.no_wait, "Return as soon as the agent has accepted it");
  sub->add_option("--timeout", wait.timeout, "Maximum wait; the rollout continues")
      ->type_name("TIME")
      ->capture_default_str();
}

void Tree::change() {
  auto* apply =
      command("apply", "Make this host run a document, and wait until it is good",
              "  holdfast apply shop.yaml\n  holdfast apply shop.yaml --reason \"web 1.8.2\"\n"
              "  holdfast apply shop.yaml --dry-run\n  generate | holdfast apply - --timeout 10m");
  apply->add_option("file", given_.apply.file, "Deployment document, - for stdin")
      ->required()
      ->type_name("FILE");
  apply->add_option("-m,--reason", given_.apply.reason, "Why; goes to the history")
      ->type_name("TEXT");
  apply->add_flag("--dry-run", given_.apply.dry_run, "Only show the plan");
  apply->add_flag("--now", given_.apply.now, "Do not wait for update.window (a hold stays)");
  wait_options(apply, given_.apply.wait);

  auto* rollback =
      command("rollback", "Go back to the last good generation, at once",
              "  holdfast rollback\n  holdfast rollback --to 41 --reason \"checkout is slow\"\n"
              "  holdfast rollback --dry-run");
  rollback
      ->add_option("--to", given_.rollback.to,
                   "This generation instead (holdfast history lists them)")
      ->check(whole)
      ->type_name("N");
  rollback->add_option("-m,--reason", given_.rollback.reason, "Why; goes to the history")
      ->type_name("TEXT");
  rollback->add_flag("--dry-run", given_.rollback.dry_run, "Only show the plan");
  wait_options(rollback, given_.rollback.wait);
}

void Tree::readiness() {
  auto* rehearse = command("rehearse", "Try a rollback: its target runs beside what serves",
                           "  holdfast rehearse\n  holdfast rehearse 41\n"
                           "  holdfast rehearse -o json | jq .verdict");
  rehearse
      ->add_option("generation", given_.rehearse.generation,
                   "This generation; without, what a rollback would choose")
      ->check(whole)
      ->type_name("GENERATION");
  rehearse->add_option("-m,--reason", given_.rehearse.reason, "Why; goes to the history")
      ->type_name("TEXT");
  wait_options(rehearse, given_.rehearse.wait);

  auto* standby = command("standby", "Frozen instances that make a rollback instant",
                          "  holdfast standby list\n  holdfast standby drop -m \"needs memory\"");
  standby->require_subcommand(1);
  standby->fallthrough();
  auto& options = given_.standby;
  standby->add_subcommand("list", "What is frozen, since when, and until when")
      ->callback([&options] { options.action = StandbyOptions::Action::list; });
  auto* drop =
      standby->add_subcommand("drop", "Give them up; a rollback starts its instances anew");
  drop->callback([&options] { options.action = StandbyOptions::Action::drop; });
  drop->add_option("-m,--reason", options.reason, "Why; goes to the history")->type_name("TEXT");
}

void Tree::end_options(CLI::App* sub, EndOptions& end) {
  auto* until = sub->add_option("--until", end.until, "Ends by itself then: 2026-12-01T09:00:00Z")
                    ->type_name("TIME");
  sub->add_option("--for", end.span, "Ends by itself after this time: 2h, 30m, 1d")
      ->type_name("SPAN")
      ->excludes(until);
}

void Tree::restrain() {
  auto* hold = command("hold", "Stop changes; detection, restarts and rollback go on",
                       "  holdfast hold --reason \"the shop is busy\" --for 2h\n"
                       "  holdfast hold -m \"incident 4711\" --until 2026-12-01T09:00:00Z");
  hold->add_option("-m,--reason", given_.hold.reason, "Why; goes to the history")
      ->required()
      ->type_name("TEXT");
  end_options(hold, given_.hold.end);

  command("resume", "End a hold; what waits for it begins",
          "  holdfast resume\n  holdfast resume --reason \"incident 4711 resolved\"")
      ->add_option("-m,--reason", given_.resume.reason, "Why; goes to the history")
      ->type_name("TEXT");

  auto* quarantine = command("quarantine", "Documents that must not be applied again",
                             "  holdfast quarantine list\n"
                             "  holdfast quarantine add 42 --reason \"loses orders\" --for 2d\n"
                             "  holdfast quarantine release 6fa1c0d2");
  quarantine->require_subcommand(1);
  quarantine->fallthrough();
  auto& options = given_.quarantine;
  const auto action = [&](const char* name, const char* text, QuarantineOptions::Action which) {
    auto* sub = quarantine->add_subcommand(name, text);
    sub->callback([&options, which] { options.action = which; });
    return sub;
  };
  action("list", "What is quarantined, by whom, why, and what proves it",
         QuarantineOptions::Action::list);
  auto* add = action("add", "Never apply it; what waits of it is taken back",
                     QuarantineOptions::Action::add);
  auto* release = action("release", "Allow it again; nothing is applied by this",
                         QuarantineOptions::Action::release);
  for (auto* sub : {add, release})
    sub->add_option("what", options.what, "Generation, or the first digits of a spec digest")
        ->required()
        ->type_name("GENERATION|DIGEST");
  add->add_option("-m,--reason", options.reason, "Why; goes to the history")
      ->required()
      ->type_name("TEXT");
  release->add_option("-m,--reason", options.reason, "Why; goes to the history")->type_name("TEXT");
  end_options(add, options.end);
}

void Tree::history() {
  auto* history =
      command("history", "Generations of this host, newest first",
              "  holdfast history\n  holdfast history -n 5\n  holdfast history -o json");
  history->add_option("-n,--limit", given_.history.limit, "Only the newest N")
      ->check(whole)
      ->type_name("N");

  auto* show = command("show", "One generation or service in full",
                       "  holdfast show\n  holdfast show 41\n  holdfast show web\n"
                       "  holdfast show 41 --document > shop.yaml");
  show->add_option("what", given_.show.what,
                   "Generation or service; the current generation without")
      ->type_name("GENERATION|SERVICE");
  show->add_flag("--document", given_.show.document, "Only the document of the generation");

  auto* diff =
      command("diff", "Field by field: two generations, or a file and one",
              "  holdfast diff 41 42\n  holdfast diff shop.yaml\n  holdfast diff 41 shop.yaml");
  diff->add_option("sides", given_.diff.sides, "Generations or files; one: against the current")
      ->expected(1, 2)
      ->required()
      ->type_name("A [B]");
  diff->add_flag("--exit-code", given_.diff.exit_code, "Exit with 6 when they differ");
}

void Tree::observe() {
  auto* drift = command("drift", "Declared against real; exit code 6 if they differ",
                        "  holdfast drift\n  holdfast drift web -o json");
  drift->add_option("service", given_.drift.service, "Only of this service")->type_name("SERVICE");

  auto* logs =
      command("logs", "Output of a service",
              "  holdfast logs web\n  holdfast logs web -f -n 20\n  holdfast logs web --since 1h");
  logs->add_option("service", given_.logs.service, "Name of the service")
      ->required()
      ->type_name("SERVICE");
  logs->add_flag("-f,--follow", given_.logs.follow, "Go on with new lines");
  logs->add_flag("-t,--timestamps", given_.logs.times, "Begin each line with its time");
  logs->add_option("--since", given_.logs.since, "From then on: 1h, 30m, or a time")
      ->type_name("TIME");
  logs->add_option("-n,--tail", given_.tail, "Only the last N lines")
      ->check(natural)
      ->type_name("N");

  auto* events = command("events", "What happened, oldest first",
                         "  holdfast events\n  holdfast events -f\n  holdfast events --since 1h "
                         "--kind failed,rolled_back");
  events->add_flag("-f,--follow", given_.events.follow, "Go on with new events");
  events->add_option("--since", given_.events.since, "From then on: 1h, 30m, or a time")
      ->type_name("TIME");
  events
      ->add_option("--kind", given_.events.kinds, "Only these kinds, or all that begin so (drift)")
      ->delimiter(',')
      ->type_name("KIND,...");
  ledger();

  command("version", "Versions of this program and of the agent", "  holdfast version");
}

void Tree::ledger() {
  auto* ledger = command(
      "ledger", "The tamper-evident history",
      "  holdfast ledger verify\n  holdfast ledger head\n  holdfast ledger export > ledger.ndjson\n"
      "  holdfast ledger recover --dry-run\n"
      "  holdfast ledger recover --yes --reason \"the disk lost a page\"");
  ledger->require_subcommand(1);
  ledger->fallthrough();
  auto& options = given_.ledger;
  const auto action = [&](const char* name, const char* description, LedgerOptions::Action which) {
    auto* sub = ledger->add_subcommand(name, description);
    sub->callback([&options, which] { options.action = which; });
    return sub;
  };
  action("verify", "Recompute the whole chain", LedgerOptions::Action::verify);
  action("head", "Number and hash of the last entry: note them elsewhere",
         LedgerOptions::Action::head);
  action("export", "All entries as JSON, one a line", LedgerOptions::Action::export_all)
      ->add_option("--after", options.after, "Only entries with a higher number")
      ->check(natural)
      ->type_name("N");
  auto* recover = action("recover", "Rebuild a damaged ledger; what runs keeps running",
                         LedgerOptions::Action::recover);
  recover->add_flag("--dry-run", options.dry_run, "Only say what would be kept and lost");
  recover->add_flag("-y,--yes", options.yes, "Do not ask; needed without a terminal");
  recover->add_option("--reason", options.reason, "Why, for the ledger")->type_name("TEXT");
}

void Tree::files() {
  auto* lint = command("lint", "Check documents without an agent",
                       "  holdfast lint shop.yaml\n  holdfast lint hosts/*.yaml");
  lint->add_option("files", given_.lint.files, "Deployment documents, - for stdin")
      ->required()
      ->type_name("FILE...");

  command("schema", "The JSON Schema of deployment documents",
          "  holdfast schema > deployment.schema.json");

  auto* completion = command("completion", "Completions for a shell",
                             "  holdfast completion bash > /etc/bash_completion.d/holdfast\n"
                             "  source <(holdfast completion bash)");
  completion->add_option("shell", given_.completion.shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->type_name("SHELL");

  auto* complete = app_.add_subcommand("__complete", "")->group("");
  complete->add_option("what", given_.complete.what)->required();
}

CommandOptions Tree::chosen() {
  const auto named = app_.get_subcommands();
  const auto is = [&](const char* name) {
    return !named.empty() && named.front()->get_name() == name;
  };
  if (is("status")) return given_.status;
  if (is("plan")) {
    given_.plan.rollback = app_.get_subcommand("plan")->count("--rollback") > 0;
    if (!given_.plan_rollback.empty()) given_.plan.to = given_.plan_rollback.front();
    return given_.plan;
  }
  if (is("apply")) return given_.apply;
  if (is("rollback")) return given_.rollback;
  if (is("hold")) return given_.hold;
  if (is("resume")) return given_.resume;
  if (is("quarantine")) return given_.quarantine;
  if (is("rehearse")) return given_.rehearse;
  if (is("standby")) return given_.standby;
  if (is("history")) return given_.history;
  if (is("show")) return given_.show;
  if (is("diff")) return given_.diff;
  if (is("drift")) return given_.drift;
  if (is("logs")) {
    if (app_.get_subcommand("logs")->count("--tail") > 0) given_.logs.tail = given_.tail;
    return given_.logs;
  }
  if (is("events")) return given_.events;
  if (is("ledger")) return given_.ledger;
  if (is("image")) return given_.image;
  if (is("doctor")) return given_.doctor;
  if (is("lint")) return given_.lint;
  if (is("schema")) return SchemaOptions{};
  if (is("completion")) return given_.completion;
  if (is("__complete")) return given_.complete;
  return VersionOptions{};
}

OptionInfo option_info(const CLI::Option& option) {
  OptionInfo info;
  for (const auto& name : option.get_snames()) info.names.push_back("-" + name);
  for (const auto& name : option.get_lnames()) info.names.push_back("--" + name);
  info.description = option.get_description();
  info.takes_value = option.get_items_expected_max() > 0;
  if (info.names.back() == "--output") info.choices = {"table", "json"};
  return info;
}

CommandInfo command_info(const CLI::App& app) {
  CommandInfo info{app.get_name(), app.get_description(), {}, {}, {}};
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

}  // namespace

std::variant<Invocation, Leave> parse_arguments(const std::vector<std::string>& args) {
  Tree tree{args.empty() ? std::string_view{} : args.front()};
  auto& app = tree.app();
  if (args.empty()) return Leave{ExitCode::usage, {}, app.help()};
  if (const auto message = unknown_command(app.get_name(), args, names_of_commands(app));
      !message.empty())
    return Leave{ExitCode::usage, {}, message};
  try {
    app.parse(std::vector<std::string>{args.rbegin(), args.rend()});
  } catch (const CLI::CallForHelp&) {
    return Leave{ExitCode::done, app.help(), {}};
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error);
  }
  return Invocation{tree.given_globals(), tree.chosen()};
}

CommandInfo command_tree() { return command_info(Tree{}.app()); }

}  // namespace holdfast::agent::cli
