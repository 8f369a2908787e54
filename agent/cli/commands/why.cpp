// why: what a service waits for or failed on, in sentences.
#include "agent/cli/commands/why.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "agent/cli/commands/register.hpp"
#include "agent/cli/commands/status.hpp"
#include "agent/cli/render/explain.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;

/// Of the ledger; more would tell of other days.
constexpr std::uint64_t kRecent = 500;

Result<std::vector<api::LedgerEntry>> recent_entries(const Context& context) {
  HF_ASSIGN(const auto head, context.agent.call<"ledger_head">());
  const auto last = head.value.number;
  HF_ASSIGN(auto answer, context.agent.call<"ledger_entries">(
                             {.after = last > kRecent ? last - kRecent : 0, .limit = kRecent}));
  return std::move(answer.value);
}

Result<std::vector<Explanation>> explain(const Context& context, const WhyOptions& options) {
  HF_ASSIGN(const auto answer, context.agent.call<"status">());
  const auto& status = answer.value;
  // A host whose ledger is damaged explains itself by its status alone.
  const auto read = recent_entries(context);
  const auto recent = read ? *read : std::vector<api::LedgerEntry>{};
  const auto now = context.clock.wall();
  std::vector<Explanation> all;
  if (options.service.empty()) all.push_back(explain_host(status, recent, now));
  for (const auto& service : status.services) {
    if (!options.service.empty() && service.name != options.service) continue;
    auto one = explain_service(status, service, recent, now);
    const bool notable = one.standing != Standing::good || !service.detail.empty();
    if (!options.service.empty() || notable) all.push_back(std::move(one));
  }
  if (all.empty()) {
    all.push_back(explain_absent(status, options.service, recent, now));
    if (all.front().reasons.empty()) return unknown_service(options.service, status);
  }
  if (!read)
    all.front().reasons.push_back(
        {"the ledger, which would tell more, cannot be read: " + read.error().what(),
         {},
         read.error().next_step().empty() ? "holdfast ledger verify" : read.error().next_step()});
  return all;
}

}  // namespace

ExitCode run_command(const Context& context, const WhyOptions& options) {
  const auto all = explain(context, options);
  if (!all) return report(context, all.error());
  if (context.json()) {
    if (const auto printed = print_json(context, why_json(*all)); printed != ExitCode::done)
      return printed;
  } else {
    print(why_view(*all, context.out));
  }
  const bool bad = std::any_of(all->begin(), all->end(),
                               [](const auto& one) { return one.standing == Standing::bad; });
  return bad ? ExitCode::degraded : ExitCode::done;
}

std::unique_ptr<Command> add_why(CLI::App& app) {
  auto made = std::make_unique<CommandOf<WhyOptions>>();
  auto& options = made->options;
  auto* why = subcommand(app, "why", "What a service waits for or failed on, and what to do",
                         "  holdfast why\n  holdfast why web\n  holdfast why web -o json | jq -r "
                         "'.[].reasons[].next'");
  why->add_option("service", options.service, "Only this one; else the host, and what is not well")
      ->type_name("SERVICE");
  return made;
}

}  // namespace holdfast::agent::cli
