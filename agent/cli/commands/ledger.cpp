#include "agent/cli/commands/ledger.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "agent/cli/commands/register.hpp"
#include "agent/cli/render/json_text.hpp"
#include "common/base/text.hpp"
#include "proto/api/codec.hpp"

namespace holdfast::agent::cli {
namespace {

constexpr std::uint64_t kPage = 500;

ExitCode verify(const Context& context) {
  const auto answer = context.agent.call<"ledger_verify">({}, {.timeout = kReadsAll});
  if (!answer) return report(context, answer.error());
  const auto& found = answer->value;
  if (context.json()) {
    if (const auto printed = print_json(context, answer->body); printed != ExitCode::done)
      return printed;
  } else if (found.intact) {
    print(fmt::format("{} intact: {} entries, head {} {}\n", mark(Mark::good, context.out),
                      found.entries, found.head.number, printable(found.head.hash)));
  }
  if (found.intact) return ExitCode::done;
  report(context, proto::api::ErrorBody{"E_LEDGER_CORRUPT",
                                        "the ledger is not what was written: " + found.fault,
                                        "keep a copy of the state directory for the inquiry, and "
                                        "compare the head with the one noted "
                                        "elsewhere"});
  return ExitCode::error;
}

ExitCode head(const Context& context) {
  const auto answer = context.agent.call<"ledger_head">();
  if (!answer) return report(context, answer.error());
  if (context.json()) return print_json(context, answer->body);
  print(fmt::format("{} {}\n", answer->value.number, printable(answer->value.hash)));
  return ExitCode::done;
}

/// Page by page, so that a long history needs no memory. Always JSON, one entry a line.
ExitCode export_all(const Context& context, std::uint64_t after) {
  for (;;) {
    const auto page = context.agent.call<"ledger_entries">({after, kPage});
    if (!page) return report(context, page.error());
    for (const auto& entry : page->value) {
      const auto line = json_line(proto::api::encode(entry));
      if (!line) return report(context, line.error());
      print(*line);
      after = entry.number;
    }
    if (page->value.empty()) return ExitCode::done;  // a page of long entries is a shorter one
  }
}

}  // namespace

ExitCode run_command(const Context& context, const LedgerOptions& options) {
  switch (options.action) {
    case LedgerOptions::Action::verify:
      return verify(context);
    case LedgerOptions::Action::head:
      return head(context);
    case LedgerOptions::Action::export_all:
      return export_all(context, options.after);
    case LedgerOptions::Action::recover:
      return recover_ledger(context, options);
  }
  return ExitCode::usage;
}

std::unique_ptr<Command> add_ledger(CLI::App& app) {
  auto made = std::make_unique<CommandOf<LedgerOptions>>();
  auto& options = made->options;
  auto* ledger = subcommand(
      app, "ledger", "The tamper-evident history",
      "  holdfast ledger verify\n  holdfast ledger head\n  holdfast ledger export > ledger.ndjson\n"
      "  holdfast ledger recover --dry-run\n"
      "  holdfast ledger recover --yes --reason \"the disk lost a page\"");
  ledger->require_subcommand(1);
  ledger->fallthrough();
  const auto action = [&](const char* name, const char* description, LedgerOptions::Action which) {
    auto* sub = ledger->add_subcommand(name, description);
    sub->callback([&options, which] { options.action = which; });
    return sub;
  };
  action("verify", "Recompute the whole chain", LedgerOptions::Action::verify);
  action("head", "Number and hash of the last entry: note them elsewhere",
         LedgerOptions::Action::head);
  action("export", "All entries as JSON, one a line", LedgerOptions::Action::export_all)
      ->add_option("--after", options.after, "Only entries with a higher number")
      ->check(natural)
      ->type_name("N");
  auto* recover = action("recover", "Rebuild a damaged ledger; what runs keeps running",
                         LedgerOptions::Action::recover);
  recover->add_flag("--dry-run", options.dry_run, "Only say what would be kept and lost");
  recover->add_flag("-y,--yes", options.yes, "Do not ask; needed without a terminal");
  recover->add_option("--reason", options.reason, "Why, for the ledger")->type_name("TEXT");
  return made;
}

}  // namespace holdfast::agent::cli
