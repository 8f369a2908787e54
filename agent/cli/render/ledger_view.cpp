#include <fmt/format.h>

#include "agent/cli/render/views.hpp"
#include "common/base/text.hpp"

namespace holdfast::agent::cli {

namespace api = proto::api;

std::string recovery_view(const api::LedgerRecovery& report, const Look& look) {
  std::string text =
      fmt::format("{} damaged: {}\n", mark(Mark::bad, look), printable(report.fault));
  const auto row = [&](std::string_view name, const std::string& value) {
    text += fmt::format("  {:<18} {}\n", name, printable(value));
  };
  row("kept from backup", report.base.empty() ? "there is none that is whole" : report.base);
  row("taken over", fmt::format("{} entries of the damaged file", report.taken_over));
  row("new head", fmt::format("{} (was {})", report.new_head.number, report.old_head.number));
  row("lost entries", report.lost_first == 0
                          ? "none"
                          : fmt::format("{} ({} to {})", report.lost_last - report.lost_first + 1,
                                        report.lost_first, report.lost_last));
  row("lost generations", report.lost_generations.empty()
                              ? "none"
                              : fmt::format("{}", fmt::join(report.lost_generations, ", ")));
  row("active then", report.generation != 0
                         ? fmt::format("generation {}, which runs", report.generation)
                         : "no generation that is known");
  if (!report.kept.empty())
    row("kept as they are", fmt::format("{}: apply their document again, which takes them over",
                                        fmt::join(report.kept, ", ")));
  row("moved aside to", report.moved_to);
  return text;
}

}  // namespace holdfast::agent::cli
