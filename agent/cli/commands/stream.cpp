// logs, events: what comes, as it comes.
#include "agent/cli/commands/stream.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "agent/cli/commands/register.hpp"
#include "agent/cli/render/json_text.hpp"
#include "agent/cli/render/views.hpp"
#include "agent/cli/render/when.hpp"
#include "common/base/text.hpp"
#include "common/os/process.hpp"
#include "proto/api/codec.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;

constexpr Milliseconds kReconnect{500};

/// A container's line: colours and tabs of its own are not let through, so that it cannot forge
/// what stands around it.
std::string log_text(const Context& context, const LogsOptions& options, const api::LogLine& line) {
  std::string text;
  if (options.times) text = paint(printable(line.time), Tone::dim, context.out) + " ";
  std::string body;
  for (const auto part : split(line.text, '\t'))
    body += (body.empty() ? "" : "\t") + printable(part);
  text += line.stream == "stderr" ? paint(body, Tone::waiting, context.out) : body;
  return line.partial ? text : text + "\n";
}

ExitCode print_log_line(const Context& context, const LogsOptions& options,
                        const std::string& raw) {
  if (raw.empty()) return ExitCode::done;
  if (context.json()) {
    const auto text = json_line(raw);
    if (!text) return report(context, text.error());
    print(*text);
    return ExitCode::done;
  }
  const auto line = api::decode<api::LogLine>(raw);
  if (!line)
    return report(context,
                  Error{Errc::internal, "a log line is not understood: " + line.error().what()});
  print(log_text(context, options, *line));
  return ExitCode::done;
}

ExitCode print_log(const Context& context, const LogsOptions& options, HttpStream& stream) {
  LineParser parser;
  for (;;) {
    const auto piece = stream.next(std::nullopt);
    if (!piece) return report(context, piece.error());
    if (!*piece) return print_log_line(context, options, parser.rest());
    const auto lines = parser.feed(**piece);
    if (!lines) return report(context, lines.error());
    for (const auto& line : *lines)
      if (const auto exit = print_log_line(context, options, line); exit != ExitCode::done)
        return exit;
  }
}

/// "drift" stands for drift_detected and drift_repaired.
bool wanted_kind(const std::vector<std::string>& kinds, std::string_view kind) {
  return kinds.empty() || std::any_of(kinds.begin(), kinds.end(), [kind](const std::string& each) {
           return kind == each ||
                  (kind.starts_with(each) && kind.substr(each.size()).starts_with('_'));
         });
}

/// One connection's worth of events. `after` moves on with them.
Status print_events(const Context& context, const EventsOptions& options,
                    std::optional<WallTime> since, std::uint64_t& after) {
  HF_ASSIGN(auto stream, context.agent.events({after, options.follow, {}}));
  for (;;) {
    HF_ASSIGN(const auto event, stream.next(std::nullopt));
    if (!event) return ok();
    after = event->number;
    const auto time = parse_rfc3339(event->time);
    const bool old = since && time && *time < *since;
    // Steps of a download are for bars; asked for by name they are shown.
    const bool noise = options.kinds.empty() && event->kind == "pull" && !context.json();
    if (old || noise || !wanted_kind(options.kinds, event->kind)) continue;
    if (!context.json()) {
      print(event_line(*event, context.out));
      continue;
    }
    HF_ASSIGN(const auto text, json_line(api::encode(*event)));
    print(text);
  }
}

}  // namespace

ExitCode run_command(const Context& context, const LogsOptions& options) {
  api::LogsQuery query{options.follow, options.tail, {}};
  if (!options.since.empty()) {
    const auto since = parse_since(options.since, context.clock.wall());
    if (!since) return report(context, since.error());
    query.since = to_rfc3339(*since);
  }
  auto stream = context.agent.stream<"logs">(query, {.argument = options.service});
  if (!stream) return report(context, stream.error());
  return print_log(context, options, *stream);
}

ExitCode run_command(const Context& context, const EventsOptions& options) {
  std::optional<WallTime> since;
  if (!options.since.empty()) {
    auto parsed = parse_since(options.since, context.clock.wall());
    if (!parsed) return report(context, parsed.error());
    since = *parsed;
  }
  std::uint64_t after = 0;
  for (bool connected = false;;) {
    const auto done = print_events(context, options, since, after);
    if (done && !options.follow) return ExitCode::done;
    connected = connected || after > 0 || done;
    const bool lost = done || done.error().code() == Errc::unreachable;
    if (!lost || !connected) return report(context, done.error());
    // The agent restarts: its events are numbered from 1 again.
    if (after > 0) say(context, "the agent went away: waiting for it\n");
    since = context.clock.wall();
    after = 0;
    os::sleep_until(context.clock.boot() + kReconnect, {});
  }
}

std::unique_ptr<Command> add_logs(CLI::App& app) {
  auto made = std::make_unique<CommandOf<LogsOptions>>();
  auto& options = made->options;
  const auto tail = std::make_shared<std::uint64_t>(0);
  auto* logs = subcommand(
      app, "logs", "Output of a service",
      "  holdfast logs web\n  holdfast logs web -f -n 20\n  holdfast logs web --since 1h");
  logs->add_option("service", options.service, "Name of the service")
      ->required()
      ->type_name("SERVICE");
  logs->add_flag("-f,--follow", options.follow, "Go on with new lines");
  logs->add_flag("-t,--timestamps", options.times, "Begin each line with its time");
  logs->add_option("--since", options.since, "From then on: 1h, 30m, or a time")->type_name("TIME");
  logs->add_option("-n,--tail", *tail, "Only the last N lines")->check(natural)->type_name("N");

  logs->callback([&options, logs, tail] {
    if (logs->count("--tail") > 0) options.tail = *tail;
  });
  return made;
}

std::unique_ptr<Command> add_events(CLI::App& app) {
  auto made = std::make_unique<CommandOf<EventsOptions>>();
  auto& options = made->options;
  auto* events = subcommand(app, "events", "What happened, oldest first",
                            "  holdfast events\n  holdfast events -f\n  holdfast events --since 1h "
                            "--kind failed,rolled_back");
  events->add_flag("-f,--follow", options.follow, "Go on with new events");
  events->add_option("--since", options.since, "From then on: 1h, 30m, or a time")
      ->type_name("TIME");
  events->add_option("--kind", options.kinds, "Only these kinds, or all that begin so (drift)")
      ->delimiter(',')
      ->type_name("KIND,...");
  return made;
}

}  // namespace holdfast::agent::cli
