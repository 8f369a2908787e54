// ledger recover: what it would keep and lose, a question, and the wait for the agent, which
// restarts.
#include <fmt/format.h>
#include <unistd.h>

#include <array>

#include "agent/cli/commands/ledger.hpp"
#include "agent/cli/render/views.hpp"
#include "common/base/text.hpp"
#include "common/os/process.hpp"
#include "proto/api/codec.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;

constexpr Milliseconds kAgain{100};
constexpr Milliseconds kComesBackWithin{60'000};

/// From the terminal; none without one.
std::optional<bool> ask(const Context& context) {
  if (::isatty(STDIN_FILENO) != 1) return std::nullopt;
  say(context,
      "Rebuild the ledger as shown? The damaged files are moved aside, not deleted. [y/N] ");
  std::array<char, 16> line{};
  const auto got = ::read(STDIN_FILENO, line.data(), line.size());
  return got > 0 && (line[0] == 'y' || line[0] == 'Y');
}

/// The entry that tells of the recovery; none while the agent is not back.
Result<std::optional<api::LedgerEntry>> recovered_entry(const Context& context,
                                                        const api::LedgerRecovery& plan) {
  const auto page = context.agent.call<"ledger_entries">({plan.new_head.number, 10});
  if (!page) {
    const bool away = page.error().code() == Errc::unreachable;
    if (away) return std::optional<api::LedgerEntry>{};
    return page.error();
  }
  for (const auto& entry : page->value) {
    if (entry.kind == "recovered") return std::optional{entry};
  }
  return std::optional<api::LedgerEntry>{};
}

/// Waits until the agent has restarted with a ledger that takes entries.
Status wait_for_recovery(const Context& context, const api::LedgerRecovery& plan) {
  const auto deadline = context.clock.boot() + kComesBackWithin;
  std::string last = "the agent does not answer";
  while (context.clock.boot() < deadline) {
    const auto entry = recovered_entry(context, plan);
    if (entry && *entry) return ok();
    if (!entry) last = entry.error().what();
    os::sleep_until(context.clock.boot() + kAgain, {});
  }
  return Error{Errc::timed_out, "the agent did not come back with a whole ledger: " + last}.hint(
      "holdfast status, and the agent's log (event=ledger_recovered or ledger_not_recovered)");
}

}  // namespace

ExitCode recover_ledger(const Context& context, const LedgerOptions& options) {
  const auto plan =
      context.agent.call<"ledger_recover">({true, options.reason}, {.timeout = kReadsAll});
  if (!plan) return report(context, plan.error());
  if (options.dry_run) {
    if (context.json()) return print_json(context, plan->body);
    print(recovery_view(plan->value, context.out));
    return ExitCode::done;
  }
  say(context, recovery_view(plan->value, context.err));
  if (!options.yes) {
    const auto answer = ask(context);
    if (!answer)
      return report(context, Error{Errc::usage, "no terminal to confirm on"}.hint(
                                 "look with --dry-run, then give --yes"));
    if (!*answer) {
      say(context, "nothing was changed\n");
      return ExitCode::error;
    }
  }
  const auto begun =
      context.agent.call<"ledger_recover">({false, options.reason}, {.timeout = kReadsAll});
  if (!begun) return report(context, begun.error());
  if (const auto back = wait_for_recovery(context, begun->value); !back)
    return report(context, back.error());
  if (context.json()) return print_json(context, begun->body);
  print(fmt::format("{} recovered: the ledger takes entries again, its head was {} before this\n",
                    mark(Mark::good, context.out), begun->value.new_head.number));
  return ExitCode::done;
}

}  // namespace holdfast::agent::cli
