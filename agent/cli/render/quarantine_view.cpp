#include <fmt/format.h>

#include "agent/cli/render/table.hpp"
#include "agent/cli/render/views.hpp"
#include "agent/cli/render/when.hpp"
#include "common/base/text.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;

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
               {item.until.empty() ? "until released" : item.until},
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

}  // namespace holdfast::agent::cli
