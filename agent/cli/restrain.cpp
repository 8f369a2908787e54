// hold, resume, quarantine: what keeps changes from happening.
#include <fmt/format.h>

#include "agent/cli/commands.hpp"
#include "agent/cli/table.hpp"
#include "agent/cli/views.hpp"
#include "agent/cli/when.hpp"
#include "common/base/text.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;

/// `--until` or `--for` as RFC 3339; empty without either.
Result<std::string> end_of(const EndOptions& end, WallTime now) {
  if (!end.span.empty()) {
    HF_ASSIGN(const auto span, parse_span(end.span));
    return to_rfc3339(now + span);
  }
  if (end.until.empty()) return std::string{};
  auto time = parse_rfc3339(end.until);
  if (!time)
    return Error{Errc::usage, fmt::format("\"{}\" is not a time", printable(end.until))}.hint(
        "write it like 2026-12-01T09:00:00Z, or use --for 2h");
  return to_rfc3339(*time);
}

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

std::string evidence_lines(const api::QuarantineItem& item) {
  std::string text;
  for (const auto& [name, value] : item.evidence) {
    if (value.empty() || name == "next") continue;
    text +=
        fmt::format("  {}: {}\n", printable(name), printable_lines(shorten_digests(value), "    "));
  }
  return text;
}

}  // namespace

std::string quarantine_view(const std::vector<api::QuarantineItem>& items, const Look& look,
                            WallTime now) {
  if (items.empty()) return "nothing is quarantined\n";
  Table table{
      {{"SPEC"}, {" GEN", Align::right}, {"SINCE"}, {"UNTIL"}, {"BY"}, {"SOURCE"}, {"REASON"}}};
  for (const auto& item : items)
    table.add({{short_digest(item.spec_digest), Tone::bold},
               {item.generation == 0 ? "-" : std::to_string(item.generation)},
               {ago(item.since, now)},
               {item.until.empty() ? "released by hand" : item.until},
               {item.actor},
               {item.source.empty() ? "-" : item.source},
               {shorten_digests(item.reason)}});
  auto out = table.render(look);
  for (const auto& item : items) {
    const auto lines = evidence_lines(item);
    if (!lines.empty())
      out += fmt::format("\n{} evidence:\n{}", short_digest(item.spec_digest), lines);
  }
  return out;
}

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
              hold ? fmt::format("{} the hold by {} is over: changes go on\n",
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

}  // namespace holdfast::agent::cli
