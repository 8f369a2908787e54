// stop, start, restart: asks, then follows the service until it is as asked.
#include "agent/cli/commands/service.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>

#include "agent/cli/commands/register.hpp"
#include "agent/cli/render/when.hpp"
#include "common/base/text.hpp"
#include "common/os/process.hpp"
#include "proto/api/codec.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;

/// What is waited for.
enum class Goal : std::uint8_t { stopped, running };

/// Follows one service after a change that was accepted.
class Follower {
 public:
  Follower(const Context& context, const api::ServiceChange& before, Goal goal)
      : context_(context), before_(before), goal_(goal) {}

  /// Errors: timed_out, unhealthy (it ended again), those of the agent.
  Result<api::ServiceStatus> run(BootTime deadline) {
    for (;;) {
      const auto status = context_.agent.call<"status">();
      if (!status && (status.error().code() != Errc::unreachable || !waits(deadline)))
        return status.error();  // an agent that restarts goes on with it
      if (!status) continue;
      const auto& services = status->value.services;
      const auto found = std::find_if(services.begin(), services.end(), [&](const auto& each) {
        return each.name == before_.service;
      });
      if (found == services.end())
        return Error{Errc::not_found, fmt::format("{} is declared no more", before_.service)};
      HF_ASSIGN(const bool there, is_there(*found));
      if (there) return *found;
      if (!waits(deadline)) return timed_out(*found);
    }
  }

 private:
  static constexpr Milliseconds kPause{50};
  static constexpr Milliseconds kSettle{1'000};  // without a health rule, as the agent's gate
  static constexpr Milliseconds kSlow{2'000};

  /// A moment; false: the time is over.
  bool waits(BootTime deadline) {
    if (context_.clock.boot() >= deadline) return false;
    tell_slow();
    os::sleep_until(context_.clock.boot() + kPause, {});
    return true;
  }

  Result<bool> is_there(const api::ServiceStatus& now) {
    if (goal_ == Goal::stopped) return now.state == "stopped";
    const bool fresh = now.instance != before_.instance || now.restarts > before_.restarts;
    if (!fresh) return false;
    if (now.state == "completed") return true;
    // Without a detail its monitor has not written yet how it ended: a moment later it has.
    if ((now.state == "backoff" || now.state == "exited") && !now.detail.empty())
      return Error{Errc::unhealthy, fmt::format("{} was started, but {}", now.name, now.detail)}
          .hint("holdfast logs " + now.name);
    if (now.state != "running") return false;
    if (!running_since_) running_since_ = context_.clock.boot();
    return now.health == "healthy" ||
           (now.health == "none" && context_.clock.boot() - *running_since_ >= kSettle);
  }

  [[nodiscard]] Error timed_out(const api::ServiceStatus& now) const {
    return Error{Errc::timed_out,
                 fmt::format("timed out waiting for {}, which is {}{}", now.name, now.state.text(),
                             now.detail.empty() ? "" : ": " + now.detail)}
        .hint("it goes on without this program: holdfast status");
  }

  void tell_slow() {
    if (told_ || context_.clock.boot() - began_ < kSlow) return;
    told_ = true;
    say(context_, fmt::format("waiting for {} to {}\n", before_.service,
                              goal_ == Goal::stopped ? "end by its stop rule" : "be ready"));
  }

  const Context& context_;
  const api::ServiceChange& before_;
  Goal goal_;
  BootTime began_ = context_.clock.boot();
  std::optional<BootTime> running_since_;
  bool told_ = false;
};

/// Waits where that is wanted, and says how it ended: `done` with the mark of success before it.
ExitCode finish(const Context& context, const api::ServiceChange& change, const WaitOptions& wait,
                Goal goal, const std::string& done) {
  for (const auto& warning : change.warnings)
    say(context, fmt::format("{} {}\n", mark(Mark::warn, context.err), printable(warning)));
  if (wait.no_wait) {
    if (context.json()) return print_json(context, api::encode(change));
    print(fmt::format("accepted: {} goes on without this program\n", change.service));
    return ExitCode::done;
  }
  const auto span = parse_span(wait.timeout);
  if (!span) return report(context, span.error());
  const auto ended = Follower{context, change, goal}.run(context.clock.boot() + *span);
  if (!ended && ended.error().code() == Errc::unhealthy) {
    report(context, ended.error());
    return ExitCode::degraded;
  }
  if (!ended) return report(context, ended.error());
  if (context.json()) return print_json(context, api::encode(*ended));
  print(fmt::format("{} {}\n", mark(Mark::good, context.out), done));
  return ExitCode::done;
}

ExitCode unchanged(const Context& context, const api::ServiceChange& change) {
  if (context.json()) return print_json(context, api::encode(change));
  print(fmt::format("{} runs: nothing to do\n", change.service));
  return ExitCode::done;
}

}  // namespace

ExitCode run_command(const Context& context, const StopOptions& options) {
  const auto until = end_of(options.end, context.clock.wall());
  if (!until) return report(context, until.error());
  const auto answer = context.agent.call<"service_stop">({options.service, options.reason, *until});
  if (!answer) return report(context, answer.error());
  const auto done =
      finish(context, answer->value, options.wait, Goal::stopped,
             fmt::format("{} is stopped {}", options.service,
                         until->empty() ? "until it is started" : "until " + printable(*until)));
  if (done == ExitCode::done && !context.json())
    say(context, fmt::format("next: holdfast start {}\n", options.service));
  return done;
}

ExitCode run_command(const Context& context, const StartOptions& options) {
  const auto answer = context.agent.call<"service_start">({options.service, options.reason});
  if (!answer) return report(context, answer.error());
  if (!answer->value.changed) return unchanged(context, answer->value);
  return finish(context, answer->value, options.wait, Goal::running,
                options.service + " is started");
}

ExitCode run_command(const Context& context, const RestartOptions& options) {
  const auto answer = context.agent.call<"service_restart">({options.service, options.reason});
  if (!answer) return report(context, answer.error());
  return finish(context, answer->value, options.wait, Goal::running,
                options.service + " is restarted");
}

namespace {

/// The service, and why.
template <class Options>
CLI::App* service_command(CLI::App& app, Options& options, const char* name, const char* text,
                          const char* examples) {
  auto* sub = subcommand(app, name, text, examples);
  sub->add_option("service", options.service, "Name of the service")
      ->required()
      ->type_name("SERVICE");
  sub->add_option("-m,--reason", options.reason, "Why; goes to the history")->type_name("TEXT");
  wait_options(sub, options.wait);
  sub->get_option("--timeout")->description("Maximum wait; it goes on without this program");
  return sub;
}

}  // namespace

std::unique_ptr<Command> add_stop(CLI::App& app) {
  auto made = std::make_unique<CommandOf<StopOptions>>();
  auto& options = made->options;
  auto* stop = service_command(app, options, "stop", "Stop one service until it is started again",
                               "  holdfast stop web --reason \"the disk is exchanged\" --for 2h\n"
                               "  holdfast stop worker -m \"incident 4711\"");
  stop->get_option("--reason")->required();
  end_options(stop, options.end);
  return made;
}

std::unique_ptr<Command> add_start(CLI::App& app) {
  auto made = std::make_unique<CommandOf<StartOptions>>();
  service_command(app, made->options, "start", "Start a service that is stopped or has ended",
                  "  holdfast start web\n  holdfast start migrate --reason \"once more\"");
  return made;
}

std::unique_ptr<Command> add_restart(CLI::App& app) {
  auto made = std::make_unique<CommandOf<RestartOptions>>();
  service_command(app, made->options, "restart", "End the process of a service and start it again",
                  "  holdfast restart web\n  holdfast restart web --reason \"a new certificate\"");
  return made;
}

}  // namespace holdfast::agent::cli
