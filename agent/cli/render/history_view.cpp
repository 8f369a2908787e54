#include <fmt/format.h>

#include "agent/cli/render/table.hpp"
#include "agent/cli/render/views.hpp"
#include "agent/cli/render/when.hpp"
#include "common/base/text.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;

Tone tone_of(proto::Word<api::GenerationResult> result) {
  if (result == "good") return Tone::good;
  if (result == "failed" || result == "rolled_back") return Tone::act;
  return result == "pending" ? Tone::waiting : Tone::dim;
}

std::string result_text(proto::Word<api::GenerationResult> result) {
  return result == "rolled_back" ? "rolled back" : result.str();
}

std::string facts_of(const api::LedgerEntry& entry) {
  auto text = entry.reason;
  for (const auto& [name, value] : entry.detail) {
    if (value.empty() || name == "log") continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : "; ", name, value);
  }
  return text;
}

std::string words(std::string kind) {
  for (auto& c : kind)
    if (c == '_') c = ' ';
  return kind;
}

Tone tone_of_kind(std::string_view kind) {
  if (kind == "good") return Tone::good;
  if (kind == "failed" || kind == "rolled_back" || kind == "refused" || kind == "quarantined" ||
      kind == "instance_exited" || kind == "drift_detected" || kind == "stop_killed")
    return Tone::act;
  return Tone::plain;
}

}  // namespace

std::string history_view(const std::vector<api::HistoryItem>& items, const Look& look,
                         WallTime now) {
  if (items.empty()) return "no generation yet\nnext: holdfast apply FILE\n";
  Table table{{{" GEN", Align::right}, {"RESULT"}, {"WHEN"}, {"SPEC"}, {"BY"}, {"REASON"}}};
  for (const auto& item : items) {
    const auto number = fmt::format("{}{:>3}", item.current ? "*" : " ", item.generation);
    const auto reason = (item.quarantined ? "[quarantined] " : "") + item.reason;
    table.add({{number, item.current ? Tone::bold : Tone::plain},
               {result_text(item.result), tone_of(item.result)},
               {ago(item.time, now)},
               {short_digest(item.spec_digest), Tone::dim},
               {item.actor},
               {reason}});
  }
  return table.render(look);
}

std::string generation_view(const api::GenerationRecord& record, const Look& look, WallTime now) {
  const auto& item = record.generation;
  const auto row = [&](std::string_view label, const std::string& text) {
    return paint(fmt::format("{:<12}", label), Tone::dim, look) + text + "\n";
  };
  auto result = paint(result_text(item.result), tone_of(item.result), look);
  if (item.current) result += ", current";
  if (item.quarantined) result += ", quarantined: it will not be applied again";
  std::string out = row("Generation", std::to_string(item.generation));
  out += row("Result", result);
  out += row("Spec digest", printable(item.spec_digest));
  out += row("Accepted", fmt::format("{} ({})", printable(item.time), ago(item.time, now)));
  out += row("By", printable(item.actor));
  if (!item.reason.empty()) out += row("Reason", printable(item.reason));
  if (!record.entries.empty()) {
    Table table{{{"ENTRY", Align::right}, {"TIME"}, {"WHAT"}, {"SERVICE"}, {"BECAUSE"}}};
    for (const auto& entry : record.entries)
      table.add({{std::to_string(entry.number), Tone::dim},
                 {entry.time.size() > 19 ? entry.time.substr(0, 10) + " " + entry.time.substr(11, 8)
                                         : entry.time},
                 {words(entry.kind), tone_of_kind(entry.kind)},
                 {entry.service.empty() ? "-" : entry.service},
                 {shorten_digests(facts_of(entry))}});
    out += "\n" + table.render(look);
  }
  for (const auto& entry : record.entries) {
    const auto log = entry.detail.find("log");
    if (log == entry.detail.end() || log->second.empty()) continue;
    out += fmt::format("\nlast output of {} (entry {}):\n  {}\n",
                       entry.service.empty() ? "the instance" : printable(entry.service),
                       entry.number, printable_lines(log->second, "  "));
  }
  if (!record.document.empty())
    out += "\n" + paint("Document", Tone::dim, look) + "\n  " +
           printable_lines(record.document, "  ") + "\n";
  return out;
}

std::string event_line(const api::Event& event, const Look& look) {
  const auto time = event.time.size() > 19
                        ? event.time.substr(0, 10) + " " + event.time.substr(11, 8)
                        : event.time;
  auto line = paint(printable(time), Tone::dim, look) + "  ";
  const auto kind = printable(words(event.kind));
  line += paint(fmt::format("{:<16}", kind), tone_of_kind(event.kind), look);
  line += fmt::format("  {:>4}", event.generation == 0 ? "" : std::to_string(event.generation));
  if (!event.service.empty()) line += "  " + paint(printable(event.service), Tone::bold, look);
  if (!event.message.empty()) line += "  " + printable(shorten_digests(event.message));
  while (line.ends_with(' ')) line.pop_back();
  return line + "\n";
}

}  // namespace holdfast::agent::cli
