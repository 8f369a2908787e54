// apply and rollback: ask, wait, tell how it ended.
#include "agent/cli/commands/change.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "agent/cli/client/wait.hpp"
#include "agent/cli/commands/document.hpp"
#include "agent/cli/commands/register.hpp"
#include "agent/cli/render/views.hpp"
#include "agent/cli/render/when.hpp"
#include "common/base/text.hpp"
#include "proto/api/codec.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;

enum class Verb : std::uint8_t { apply, rollback };

constexpr std::string_view kGoesOn =
    "look with \"holdfast status\" or follow it with \"holdfast events -f\"";

/// The result as `--output json` prints it, if that was asked for.
void print_outcome(const Context& context, const api::Outcome& outcome) {
  if (context.json()) (void)print_json(context, api::encode(outcome));
}

/// The change did not even begin.
ExitCode refuse(const Context& context, const Error& error) {
  print_outcome(context, {.result = "refused",
                          .error = api::ErrorBody{std::string{code(error.code())}, error.what(),
                                                  error.next_step()}});
  return report(context, error);
}

/// Facts that say why, then the last lines of the instance.
std::string evidence_text(const Evidence& evidence) {
  std::string text;
  for (const auto& [name, value] : evidence.facts)
    if (name != "next" && name != "instance" && !value.empty())
      text += fmt::format("  {}: {}\n", printable(name),
                          printable_lines(shorten_digests(value), "    "));
  if (!evidence.log.empty()) text += "  its last lines:\n";
  for (const auto& line : evidence.log) text += fmt::format("    {}\n", printable(line));
  return text;
}

void tell_failure(const Context& context, const Ended& ended) {
  const auto& outcome = ended.outcome;
  api::ErrorBody error =
      outcome.error.value_or(api::ErrorBody{"", "no reason was given", "holdfast history"});
  auto headline = fmt::format("generation {} {}", outcome.generation,
                              outcome.result == "rolled_back"  ? "failed and was rolled back"
                              : outcome.result == "superseded" ? "was superseded by another change"
                                                               : "failed");
  const auto facts = evidence_text(ended.evidence);
  error.message = headline + ": " + shorten_digests(error.message);
  if (!facts.empty()) error.message += "\n" + facts;
  report(context, error);
}

ExitCode tell_end(const Context& context, const Ended& ended, Verb verb) {
  const auto& outcome = ended.outcome;
  const auto exit =
      verb == Verb::apply ? exit_code_of_apply(outcome) : exit_code_of_rollback(outcome);
  print_outcome(context, outcome);
  if (outcome.result == "waiting") {
    report(context,
           outcome.error.value_or(api::ErrorBody{"E_HELD", "it waits", "holdfast status"}));
  } else if (exit != ExitCode::done) {
    tell_failure(context, ended);
  } else if (!context.json()) {
    print(fmt::format("{} generation {} is {} ({})\n", mark(Mark::good, context.out),
                      outcome.generation, verb == Verb::apply ? "good" : "active again",
                      seconds_text(outcome.seconds)));
  }
  return exit;
}

/// The wait ended before the change did.
ExitCode tell_unfinished(const Context& context, const api::Accepted& accepted,
                         const Error& error) {
  api::ErrorBody body{std::string{code(error.code())}, error.what(), error.next_step()};
  if (error.code() == Errc::timed_out || error.code() == Errc::cancelled) {
    body.message = fmt::format(
        "{}; generation {} goes on without this program",
        error.code() == Errc::timed_out ? "timed out waiting" : "interrupted", accepted.generation);
    body.next = kGoesOn;
  }
  print_outcome(context, {.generation = accepted.generation, .result = "pending", .error = body});
  report(context, body);
  return exit_code_of(error.code());
}

ExitCode finish(const Context& context, const api::Accepted& accepted, const WaitOptions& wait,
                Verb verb) {
  for (const auto& warning : accepted.warnings)
    say(context, fmt::format("{} {}\n", mark(Mark::warn, context.err), printable(warning)));
  if (!accepted.changed) {
    print_outcome(context, {.generation = accepted.generation, .result = "unchanged"});
    if (!context.json())
      print(fmt::format("generation {} already runs this: nothing to do\n", accepted.generation));
    return ExitCode::done;
  }
  if (wait.no_wait) {
    print_outcome(context, {.generation = accepted.generation, .result = "pending"});
    if (!context.json())
      print(fmt::format("generation {} is accepted: {}\n", accepted.generation, kGoesOn));
    return ExitCode::done;
  }
  const auto span = parse_span(wait.timeout);
  if (!span) return report(context, span.error());
  using Style = ProgressPrinter::Style;
  const auto style = context.globals.quiet  ? Style::silent
                     : context.err.terminal ? Style::live
                                            : Style::plain;
  ProgressPrinter printer{STDERR_FILENO, context.err, style};
  const auto ended =
      wait_for_end(context.agent, context.clock, {accepted, context.clock.boot() + *span}, printer);
  printer.clear();
  if (!ended) return tell_unfinished(context, accepted, ended.error());
  return tell_end(context, *ended, verb);
}

}  // namespace

ExitCode run_command(const Context& context, const ApplyOptions& options) {
  if (options.dry_run)
    return run_command(context, PlanOptions{.file = options.file, .now = options.now});
  if (const auto span = parse_span(options.wait.timeout); !span)
    return report(context, span.error());
  const auto document = read_document(options.file);
  if (!document) return refuse(context, document.error());
  const auto checked = check_document(context, *document);
  if (!checked.deployment) {
    print_outcome(context, {.result = "refused",
                            .error = api::ErrorBody{"E_SPEC_PARSE", checked.faults, {}}});
    return ExitCode::rejected;
  }
  const auto accepted = context.agent.call<"apply">({.document = document->text,
                                                     .file = document->name,
                                                     .reason = options.reason,
                                                     .now = options.now,
                                                     .break_glass = options.break_glass});
  if (!accepted) return refuse(context, accepted.error());
  return finish(context, accepted->value, options.wait, Verb::apply);
}

ExitCode run_command(const Context& context, const RollbackOptions& options) {
  if (options.dry_run) return run_command(context, PlanOptions{.rollback = true, .to = options.to});
  if (const auto span = parse_span(options.wait.timeout); !span)
    return report(context, span.error());
  const auto accepted = context.agent.call<"rollback">({options.to, options.reason, false});
  if (!accepted) return refuse(context, accepted.error());
  return finish(context, accepted->value, options.wait, Verb::rollback);
}

ExitCode run_command(const Context& context, const PlanOptions& options) {
  if (options.rollback == !options.file.empty())
    return report(context,
                  Error{Errc::usage, options.rollback ? "plan takes a file or --rollback, not both"
                                                      : "plan needs a file, or --rollback"}
                      .hint("holdfast plan FILE"));
  const auto ask = [&]() -> Result<Answer<api::PlanReport>> {
    if (options.rollback)
      return context.agent.call<"rollback", api::PlanReport>({options.to, {}, true});
    HF_ASSIGN(const auto document, read_document(options.file));
    const auto checked = check_document(context, document);
    if (!checked.deployment) return Error{Errc::spec_parse, {}};
    return context.agent.call<"plan">({document.text, document.name, {}, true, options.now});
  };
  const auto plan = ask();
  if (!plan)
    return plan.error().what().empty() ? ExitCode::rejected : report(context, plan.error());
  if (context.json()) {
    if (const auto printed = print_json(context, plan->body); printed != ExitCode::done)
      return printed;
  } else {
    print(plan_view(plan->value, context.out));
    if (plan->value.changes)
      say(context, options.rollback
                       ? "next: holdfast rollback\n"
                       : fmt::format("next: holdfast apply {}\n", printable(options.file)));
  }
  return options.exit_code && plan->value.changes ? ExitCode::degraded : ExitCode::done;
}

std::unique_ptr<Command> add_plan(CLI::App& app) {
  auto made = std::make_unique<CommandOf<PlanOptions>>();
  auto& options = made->options;
  const auto target = std::make_shared<std::vector<std::uint64_t>>();
  auto* plan = subcommand(app, "plan", "What applying a document would change; touches nothing",
                          "  holdfast plan shop.yaml\n  holdfast plan - < shop.yaml\n"
                          "  holdfast plan --rollback\n  holdfast plan --rollback 41");
  plan->add_option("file", options.file, "Deployment document, - for stdin")->type_name("FILE");
  plan->add_option("--rollback", *target, "Plan a rollback: to generation N, or the last good one")
      ->expected(0, 1)
      ->check(whole)
      ->type_name("N");
  plan->add_flag("--exit-code", options.exit_code, "Exit with 6 when something would change");

  plan->callback([&options, plan, target] {
    options.rollback = plan->count("--rollback") > 0;
    if (!target->empty()) options.to = target->front();
  });
  return made;
}

std::unique_ptr<Command> add_apply(CLI::App& app) {
  auto made = std::make_unique<CommandOf<ApplyOptions>>();
  auto& options = made->options;
  auto* apply = subcommand(
      app, "apply", "Make this host run a document, and wait until it is good",
      "  holdfast apply shop.yaml\n  holdfast apply shop.yaml --reason \"web 1.8.2\"\n"
      "  holdfast apply shop.yaml --dry-run\n  generate | holdfast apply - --timeout 10m");
  apply->add_option("file", options.file, "Deployment document, - for stdin")
      ->required()
      ->type_name("FILE");
  apply->add_option("-m,--reason", options.reason, "Why; goes to the history")->type_name("TEXT");
  apply->add_flag("--dry-run", options.dry_run, "Only show the plan");
  apply->add_flag("--now", options.now, "Do not wait for update.window (a hold stays)");
  apply->add_flag("--break-glass", options.break_glass,
                  "Unsigned, on a host of signed ones; with --reason");
  wait_options(apply, options.wait);
  return made;
}

std::unique_ptr<Command> add_rollback(CLI::App& app) {
  auto made = std::make_unique<CommandOf<RollbackOptions>>();
  auto& options = made->options;
  auto* rollback =
      subcommand(app, "rollback", "Go back to the last good generation, at once",
                 "  holdfast rollback\n  holdfast rollback --to 41 --reason \"checkout is slow\"\n"
                 "  holdfast rollback --dry-run");
  rollback->add_option("--to", options.to, "This generation instead (holdfast history lists them)")
      ->check(whole)
      ->type_name("N");
  rollback->add_option("-m,--reason", options.reason, "Why; goes to the history")
      ->type_name("TEXT");
  rollback->add_flag("--dry-run", options.dry_run, "Only show the plan");
  wait_options(rollback, options.wait);
  return made;
}

}  // namespace holdfast::agent::cli
