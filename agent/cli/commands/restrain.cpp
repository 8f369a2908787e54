// hold, resume, quarantine: what keeps changes from happening.
#include "agent/cli/commands/restrain.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "agent/cli/commands/register.hpp"
#include "agent/cli/render/table.hpp"
#include "agent/cli/render/views.hpp"
#include "agent/cli/render/when.hpp"
#include "common/base/text.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;

std::string until_text(const std::string& until) {
  return until.empty() ? "until somebody ends it" : "until " + printable(until);
}

ExitCode tell(const Context& context, const std::string& body, const std::string& text) {
  if (context.json()) return print_json(context, body);
  print(text);
  return ExitCode::done;
}

ExitCode list(const Context& context) {
  const auto answer = context.agent.call<"quarantine">();
  if (!answer) return report(context, answer.error());
  return tell(context, answer->body,
              quarantine_view(answer->value, context.out, context.clock.wall()));
}

ExitCode add(const Context& context, const QuarantineOptions& options) {
  const auto until = end_of(options.end, context.clock.wall());
  if (!until) return report(context, until.error());
  const auto answer = context.agent.call<"quarantine_add">({options.what, options.reason, *until});
  if (!answer) return report(context, answer.error());
  return tell(
      context, answer->body,
      fmt::format("{} {} is quarantined {}\n", mark(Mark::good, context.out),
                  short_digest(answer->value.spec_digest), until_text(answer->value.until)));
}

ExitCode release(const Context& context, const QuarantineOptions& options) {
  const auto answer = context.agent.call<"quarantine_release">({options.what, options.reason});
  if (!answer) return report(context, answer.error());
  const auto& item = answer->value;
  const auto done = tell(context, answer->body,
                         fmt::format("{} {} may be applied again\n", mark(Mark::good, context.out),
                                     short_digest(item.spec_digest)));
  if (done == ExitCode::done && !context.json())
    say(context, fmt::format("next: holdfast apply {}\n",
                             item.source.empty() ? "FILE" : printable(item.source)));
  return done;
}

}  // namespace

ExitCode run_command(const Context& context, const HoldOptions& options) {
  const auto until = end_of(options.end, context.clock.wall());
  if (!until) return report(context, until.error());
  const auto answer = context.agent.call<"hold">({options.reason, *until});
  if (!answer) return report(context, answer.error());
  const auto done = tell(context, answer->body,
                         fmt::format("{} changes are held {}\n", mark(Mark::good, context.out),
                                     until_text(answer->value.until)));
  if (done == ExitCode::done && !context.json()) say(context, "next: holdfast resume\n");
  return done;
}

ExitCode run_command(const Context& context, const ResumeOptions& options) {
  const auto answer = context.agent.call<"resume">({options.reason});
  if (!answer) return report(context, answer.error());
  const auto& hold = answer->value.hold;
  return tell(context, answer->body,
              hold ? fmt::format("{} the hold by {} has ended: changes go on\n",
                                 mark(Mark::good, context.out), printable(hold->actor))
                   : std::string{"nothing was held: nothing to do\n"});
}

ExitCode run_command(const Context& context, const QuarantineOptions& options) {
  switch (options.action) {
    case QuarantineOptions::Action::add:
      return add(context, options);
    case QuarantineOptions::Action::release:
      return release(context, options);
    case QuarantineOptions::Action::list:
      return list(context);
  }
  return ExitCode::error;
}

std::unique_ptr<Command> add_hold(CLI::App& app) {
  auto made = std::make_unique<CommandOf<HoldOptions>>();
  auto& options = made->options;
  auto* hold = subcommand(app, "hold", "Stop changes; detection, restarts and rollback go on",
                          "  holdfast hold --reason \"the shop is busy\" --for 2h\n"
                          "  holdfast hold -m \"incident 4711\" --until 2026-12-01T09:00:00Z");
  hold->add_option("-m,--reason", options.reason, "Why; goes to the history")
      ->required()
      ->type_name("TEXT");
  end_options(hold, options.end);
  return made;
}

std::unique_ptr<Command> add_resume(CLI::App& app) {
  auto made = std::make_unique<CommandOf<ResumeOptions>>();
  auto& options = made->options;
  subcommand(app, "resume", "End a hold; what waits for it begins",
             "  holdfast resume\n  holdfast resume --reason \"incident 4711 resolved\"")
      ->add_option("-m,--reason", options.reason, "Why; goes to the history")
      ->type_name("TEXT");
  return made;
}

std::unique_ptr<Command> add_quarantine(CLI::App& app) {
  auto made = std::make_unique<CommandOf<QuarantineOptions>>();
  auto& options = made->options;
  auto* quarantine = subcommand(app, "quarantine", "Documents that must not be applied again",
                                "  holdfast quarantine list\n"
                                "  holdfast quarantine add 42 --reason \"loses orders\" --for 2d\n"
                                "  holdfast quarantine release 6fa1c0d2");
  quarantine->require_subcommand(1);
  quarantine->fallthrough();
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
  return made;
}

}  // namespace holdfast::agent::cli
