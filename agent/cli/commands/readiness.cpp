// rehearse and standby: how ready the way back is.
#include "agent/cli/commands/readiness.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "agent/cli/commands/register.hpp"
#include "agent/cli/render/table.hpp"
#include "agent/cli/render/views.hpp"
#include "agent/cli/render/when.hpp"
#include "common/base/text.hpp"
#include "common/os/process.hpp"
#include "proto/api/codec.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;
using namespace std::chrono_literals;

constexpr Milliseconds kReconnect{200};

bool is_verdict(proto::Word<api::RehearsalState> word) {
  return word != "waiting" && word != "running";
}

/// The verdict among the events after the request; none when the stream or the time ended before.
Result<std::optional<api::RehearsalStatus>> follow(AgentClient& agent, const api::Accepted& asked,
                                                   BootTime deadline) {
  HF_ASSIGN(auto stream, agent.events({asked.since_event, true, {}}));
  for (;;) {
    auto event = stream.next(deadline);
    if (!event) return std::move(event).error();
    if (!*event) return std::optional<api::RehearsalStatus>{};
    if ((*event)->kind != "rehearsal_result" || (*event)->generation != asked.generation) continue;
    HF_ASSIGN(auto verdict, api::decode<api::RehearsalStatus>((*event)->detail));
    return std::optional{std::move(verdict)};
  }
}

/// Also over a restart of the agent, which remembers what it was asked and what came of it.
Result<api::RehearsalStatus> wait_for_verdict(const Context& context, const api::Accepted& asked,
                                              BootTime deadline) {
  for (;;) {
    auto verdict = follow(context.agent, asked, deadline);
    if (verdict && *verdict) return std::move(**verdict);
    if (!verdict && verdict.error().code() != Errc::unreachable &&
        verdict.error().code() != Errc::timed_out)
      return std::move(verdict).error();
    if (context.clock.boot() >= deadline)
      return Error{Errc::timed_out, "timed out waiting; the rehearsal goes on without this program"}
          .hint("look with: holdfast status");
    os::sleep_until(context.clock.boot() + kReconnect, {});
    const auto status = context.agent.call<"status">();
    if (status && status->value.rehearsal && is_verdict(status->value.rehearsal->verdict))
      return *status->value.rehearsal;
  }
}

ExitCode tell(const Context& context, const api::RehearsalStatus& verdict) {
  const bool passed = verdict.verdict == "passed";
  const auto exit = passed                        ? ExitCode::done
                    : verdict.verdict == "failed" ? ExitCode::degraded
                                                  : ExitCode::error;
  if (context.json()) {
    (void)print_json(context, api::encode(verdict));
    return exit;
  }
  if (passed) {
    print(fmt::format("{} generation {} would run: rehearsed in {}\n",
                      mark(Mark::good, context.out), verdict.generation,
                      seconds_text(verdict.seconds)));
  } else {
    report(context,
           api::ErrorBody{passed ? "" : "E_UNHEALTHY",
                          fmt::format("the rehearsal of generation {} {}: {}", verdict.generation,
                                      verdict.verdict == "failed" ? "failed" : "was interrupted",
                                      verdict.reason),
                          fmt::format("holdfast show {}", verdict.generation)});
  }
  for (const auto& remark : verdict.remarks)
    print(fmt::format("{} {}\n", mark(Mark::warn, context.out), printable(remark)));
  return exit;
}

std::string standby_view(const std::vector<api::StandbyStatus>& items, const Look& look,
                         WallTime now) {
  if (items.empty()) return "nothing is frozen: a rollback would start its instances again\n";
  Table table{{{"SERVICE"}, {"SINCE"}, {"UNTIL"}, {"INSTANCE"}}};
  for (const auto& item : items)
    table.add({{item.service, Tone::bold}, {ago(item.since, now)}, {item.until}, {item.instance}});
  return table.render(look);
}

}  // namespace

ExitCode run_command(const Context& context, const RehearseOptions& options) {
  const auto span = parse_span(options.wait.timeout);
  if (!span) return report(context, span.error());
  const auto asked = context.agent.call<"rehearse">({options.generation, options.reason});
  if (!asked) return report(context, asked.error());
  if (options.wait.no_wait) {
    if (context.json()) return print_json(context, asked->body);
    print(fmt::format("generation {} will be rehearsed: look with \"holdfast status\"\n",
                      asked->value.generation));
    return ExitCode::done;
  }
  if (!context.json())
    say(context, fmt::format("rehearsing generation {}\n", asked->value.generation));
  const auto verdict = wait_for_verdict(context, asked->value, context.clock.boot() + *span);
  return verdict ? tell(context, *verdict) : report(context, verdict.error());
}

ExitCode run_command(const Context& context, const StandbyOptions& options) {
  if (options.action == StandbyOptions::Action::list) {
    const auto status = context.agent.call<"status">();
    if (!status) return report(context, status.error());
    if (context.json())
      return print_json(context, api::encode(api::StandbyDropped{status->value.standby}));
    print(standby_view(status->value.standby, context.out, context.clock.wall()));
    return ExitCode::done;
  }
  const auto answer = context.agent.call<"standby_drop">({options.reason});
  if (!answer) return report(context, answer.error());
  if (context.json()) return print_json(context, answer->body);
  const auto count = answer->value.dropped.size();
  print(count == 0 ? std::string{"nothing is frozen: nothing to do\n"}
                   : fmt::format("{} {} frozen instance{} given up\n",
                                 mark(Mark::good, context.out), count, count == 1 ? "" : "s"));
  return ExitCode::done;
}

std::unique_ptr<Command> add_rehearse(CLI::App& app) {
  auto made = std::make_unique<CommandOf<RehearseOptions>>();
  auto& options = made->options;
  auto* rehearse = subcommand(app, "rehearse", "Try a rollback: its target runs beside what serves",
                              "  holdfast rehearse\n  holdfast rehearse 41\n"
                              "  holdfast rehearse -o json | jq .verdict");
  rehearse
      ->add_option("generation", options.generation,
                   "This generation; without, what a rollback would choose")
      ->check(whole)
      ->type_name("GENERATION");
  rehearse->add_option("-m,--reason", options.reason, "Why; goes to the history")
      ->type_name("TEXT");
  wait_options(rehearse, options.wait);
  return made;
}

std::unique_ptr<Command> add_standby(CLI::App& app) {
  auto made = std::make_unique<CommandOf<StandbyOptions>>();
  auto& options = made->options;
  auto* standby =
      subcommand(app, "standby", "Frozen instances that make a rollback instant",
                 "  holdfast standby list\n  holdfast standby drop -m \"needs memory\"");
  standby->require_subcommand(1);
  standby->fallthrough();
  standby->add_subcommand("list", "What is frozen, since when, and until when")
      ->callback([&options] { options.action = StandbyOptions::Action::list; });
  auto* drop =
      standby->add_subcommand("drop", "Give them up; a rollback starts its instances again");
  drop->callback([&options] { options.action = StandbyOptions::Action::drop; });
  drop->add_option("-m,--reason", options.reason, "Why; goes to the history")->type_name("TEXT");
  return made;
}

}  // namespace holdfast::agent::cli
