// status, drift, version: what is so now.
#include "agent/cli/commands/status.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "agent/cli/commands/register.hpp"
#include "agent/cli/render/json_text.hpp"
#include "agent/cli/render/views.hpp"
#include "common/base/text.hpp"
#include "common/os/process.hpp"
#include "proto/api/codec.hpp"
#include "proto/json/writer.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;

constexpr Milliseconds kWatchPeriod{500};

/// The picture reduced to one service; everything else of its shape stays.
Result<api::Status> only(api::Status status, const std::string& name) {
  const auto known = std::any_of(status.services.begin(), status.services.end(),
                                 [&](const auto& s) { return s.name == name; });
  if (!known) return unknown_service(name, status);
  std::erase_if(status.services, [&](const auto& service) { return service.name != name; });
  std::erase_if(status.drift, [&](const auto& item) { return item.service != name; });
  return status;
}

ExitCode exit_code_of_service(const api::Status& status) {
  const bool bad = is_bad(status.services.front()) || needs_a_look(status.drift);
  return bad ? ExitCode::degraded : ExitCode::done;
}

struct Picture {
  std::string text;
  ExitCode exit = ExitCode::done;
};

Result<Picture> picture(const Context& context, const StatusOptions& options) {
  HF_ASSIGN(auto answer, context.agent.call<"status">());
  auto status = std::move(answer.value);
  auto exit = exit_code_of_status(status);
  if (!options.service.empty()) {
    HF_ASSIGN(status, only(std::move(status), options.service));
    exit = exit_code_of_service(status);
  }
  if (context.json()) {
    const auto body = options.service.empty() ? answer.body : api::encode(status);
    HF_ASSIGN(auto text, options.watch ? json_line(body) : pretty_json(body));
    return Picture{std::move(text), exit};
  }
  const auto now = context.clock.wall();
  return Picture{options.service.empty()
                     ? status_view(status, context.out, now)
                     : service_view(status, status.services.front(), context.out, now),
                 exit};
}

/// Until Ctrl-C: redrawn on a terminal; elsewhere printed again when it changed. Goes on while the
/// agent restarts.
ExitCode watch(const Context& context, const StatusOptions& options) {
  std::string shown;
  bool lost = false;
  for (;;) {
    const auto now = picture(context, options);
    if (!now && now.error().code() != Errc::unreachable) return report(context, now.error());
    if (!now && !std::exchange(lost, true)) (void)report(context, now.error());
    if (now && (now->text != shown || lost)) {
      lost = false;
      print(context.out.terminal && !context.json()
                ? "\x1b[H\x1b[2J" + now->text
                : (shown.empty() || context.json() ? "" : "\n") + now->text);
      shown = now->text;
    }
    os::sleep_until(context.clock.boot() + kWatchPeriod, {});
  }
}

}  // namespace

Error unknown_service(const std::string& name, const api::Status& status) {
  std::vector<std::string_view> names;
  std::string all;
  for (const auto& service : status.services) {
    names.push_back(service.name);
    all += (all.empty() ? "" : ", ") + service.name;
  }
  const auto near = nearest(name, names);
  return Error{Errc::not_found, fmt::format("there is no service \"{}\"", name)}.hint(
      !near.empty() ? fmt::format("did you mean \"{}\"?", near)
      : all.empty() ? "nothing runs yet: holdfast apply FILE"
                    : "the services are: " + all);
}

ExitCode run_command(const Context& context, const StatusOptions& options) {
  if (options.watch) return watch(context, options);
  const auto now = picture(context, options);
  if (!now) return report(context, now.error());
  print(now->text);
  return now->exit;
}

ExitCode run_command(const Context& context, const DriftOptions& options) {
  auto answer = context.agent.call<"drift">();
  if (!answer) return report(context, answer.error());
  auto drift = std::move(answer->value);
  if (!options.service.empty()) {
    std::erase_if(drift, [&](const auto& item) { return item.service != options.service; });
    // What nobody declared may differ too, so the name is doubted only where nothing bears it.
    if (drift.empty()) {
      auto known = context.agent.call<"status">();
      if (!known) return report(context, known.error());
      if (const auto one = only(std::move(known->value), options.service); !one)
        return report(context, one.error());
    }
  }
  if (context.json()) {
    if (const auto printed = print_json(context, api::encode(drift)); printed != ExitCode::done)
      return printed;
  } else {
    print(drift_view(drift, context.out, context.clock.wall()));
  }
  return drift.empty() ? ExitCode::done : ExitCode::degraded;
}

ExitCode run_command(const Context& context, const VersionOptions&) {
  constexpr Milliseconds kQuick{2'000};
  const auto agent = context.agent.call<"version">({}, {.timeout = kQuick});
  if (context.json()) {
    proto::json::Writer out;
    out.begin_object().key("client").value(HOLDFAST_VERSION).key("agent");
    if (agent) {
      out.value(agent->value.version);
    } else {
      out.null();
    }
    return print_json(context, std::move(out.key("api").value("v1").end_object()).take());
  }
  print(fmt::format("holdfast   {}\n", HOLDFAST_VERSION));
  if (agent) {
    print(fmt::format("holdfastd  {}, API {}\n", printable(agent->value.version),
                      printable(agent->value.api)));
  } else {
    print(fmt::format("holdfastd  not asked: {}\n", printable(agent.error().what())));
  }
  return ExitCode::done;
}

std::unique_ptr<Command> add_status(CLI::App& app) {
  auto made = std::make_unique<CommandOf<StatusOptions>>();
  auto& options = made->options;
  auto* status = subcommand(app, "status", "What runs, and whether it is what was declared",
                            "  holdfast status\n  holdfast status web\n  holdfast status --watch\n"
                            "  holdfast status -o json | jq .state");
  status->add_option("service", options.service, "Only this service, in detail")
      ->type_name("SERVICE");
  status->add_flag("-w,--watch", options.watch, "Show again whenever it changes");
  return made;
}

std::unique_ptr<Command> add_drift(CLI::App& app) {
  auto made = std::make_unique<CommandOf<DriftOptions>>();
  auto& options = made->options;
  auto* drift = subcommand(app, "drift", "Declared against real; exit code 6 if they differ",
                           "  holdfast drift\n  holdfast drift web -o json");
  drift->add_option("service", options.service, "Only of this service")->type_name("SERVICE");
  return made;
}

std::unique_ptr<Command> add_version(CLI::App& app) {
  auto made = std::make_unique<CommandOf<VersionOptions>>();
  subcommand(app, "version", "Versions of this program and of the agent", "  holdfast version");
  return made;
}

}  // namespace holdfast::agent::cli
