// shutdown: asks the agent to end everything, again and again until nothing runs.
#include "agent/cli/commands/shutdown.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "agent/cli/commands/register.hpp"
#include "agent/cli/render/when.hpp"
#include "common/base/text.hpp"
#include "common/os/process.hpp"
#include "proto/api/codec.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;

constexpr Milliseconds kPace{100};
/// An agent that was killed is started again by its supervisor, unless that takes the host down.
constexpr Milliseconds kUnreachable{5'000};
/// The agent kills what is left at the end of its time; this is for the kernel.
constexpr Milliseconds kGrace{20'000};

/// What systemd says; without it nobody says so.
bool host_goes_down() {
  constexpr Milliseconds kAnswers{5'000};
  const auto asked =
      os::run({.spawn = {.argv = {"systemctl", "is-system-running"}, .env = {os::kChildPath}},
               .input = {},
               .timeout = kAnswers});
  return asked && trim(asked->out) == "stopping";
}

bool is_passing(const Error& error) {
  return error.code() == Errc::unreachable || error.code() == Errc::timed_out;
}

std::string names(const std::vector<std::string>& list) {
  std::string text;
  for (const auto& name : list) text += (text.empty() ? "" : ", ") + printable(name);
  return text;
}

/// The last answer: nothing runs, or the time is over. Each call tells the agent that it still
/// holds, also one that was started again meanwhile.
Result<Answer<api::ShutdownProgress>> follow(const Context& context, Milliseconds within) {
  const std::chrono::milliseconds grace = within + kGrace;
  const BootTime deadline = context.clock.boot() + grace;
  BootTime heard = context.clock.boot();
  for (;;) {
    auto answer = context.agent.call<"shutdown">(
        {static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::seconds>(within).count())});
    const auto now = context.clock.boot();
    if (answer) {
      heard = now;
      const bool done = answer->value.running.empty() && answer->value.standby == 0;
      if (done || now >= deadline) return answer;
    } else if (!is_passing(answer.error()) || now >= heard + kUnreachable) {
      return answer;
    }
    os::sleep_until(now + kPace, {});
  }
}

}  // namespace

ExitCode run_command(const Context& context, const ShutdownOptions& options) {
  const auto within = parse_span(options.within);
  if (!within) return report(context, within.error());
  if (!options.force && !host_goes_down()) {
    say(context, "the host does not go down: nothing is stopped\n");
    return ExitCode::done;
  }
  say(context, "the host goes down: services are stopped\n");
  const auto answer = follow(context, *within);
  if (!answer) return report(context, answer.error());
  const auto& progress = answer->value;
  if (context.json()) (void)print_json(context, answer->body);
  if (!progress.running.empty())
    return report(context, Error{Errc::timed_out, fmt::format("still running after {}: {}",
                                                              seconds_text(progress.seconds),
                                                              names(progress.running))});
  if (!context.json())
    print(fmt::format("{} nothing runs any more ({})\n", mark(Mark::good, context.out),
                      seconds_text(progress.seconds)));
  return ExitCode::done;
}

std::unique_ptr<Command> add_shutdown(CLI::App& app) {
  auto made = std::make_unique<CommandOf<ShutdownOptions>>();
  auto& options = made->options;
  auto* shutdown =
      subcommand(app, "shutdown", "Stop every service in order, when the host goes down",
                 "  holdfast shutdown                 only when systemd takes the host down\n"
                 "  holdfast shutdown --within 90s    before the batteries are empty\n"
                 "  holdfast shutdown --force         for five minutes, if the host stays up");
  shutdown->add_option("--within", options.within, "What still runs after this time is killed")
      ->type_name("SPAN")
      ->capture_default_str();
  shutdown->add_flag("--force", options.force, "Whether or not the host goes down");
  return made;
}

}  // namespace holdfast::agent::cli
