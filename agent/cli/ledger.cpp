#include <fmt/format.h>

#include "agent/cli/commands.hpp"
#include "agent/cli/json_text.hpp"
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
    if (page->value.size() < kPage) return ExitCode::done;
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

}  // namespace holdfast::agent::cli
