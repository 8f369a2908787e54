#include <fmt/format.h>

#include <array>

#include "agent/cli/render/explain.hpp"
#include "common/base/text.hpp"
#include "proto/json/writer.hpp"

namespace holdfast::agent::cli {
namespace {

Mark mark_of(Standing standing) {
  if (standing == Standing::bad) return Mark::bad;
  return standing == Standing::good ? Mark::good : Mark::warn;
}

void write_line(std::string& out, std::string_view before, const std::string& text) {
  out += fmt::format("{}{}\n", before, printable(shorten_digests(text)));
}

}  // namespace

std::string_view to_string(Standing standing) {
  constexpr std::array<std::string_view, 3> kWords{"good", "waiting", "bad"};
  return kWords.at(static_cast<std::size_t>(standing));
}

std::string why_view(std::span<const Explanation> all, const Look& look) {
  std::string out;
  for (const auto& one : all) {
    const auto subject = one.subject.empty() ? std::string{"this host"} : printable(one.subject);
    out += fmt::format(
        "{} {} {}\n", mark(mark_of(one.standing), look), paint(subject, Tone::bold, look),
        printable(shorten_digests((one.subject.empty() ? "is " : "") + one.sentence)));
    for (const auto& reason : one.reasons) {
      write_line(out, "  - ", reason.what);
      for (const auto& line : reason.evidence) write_line(out, "      | ", line);
      if (!reason.next.empty()) write_line(out, "    next: ", reason.next);
    }
  }
  return out;
}

std::string why_json(std::span<const Explanation> all) {
  proto::json::Writer out;
  out.begin_array();
  for (const auto& one : all) {
    out.begin_object().key("service").value(one.subject).key("sentence").value(one.sentence);
    out.key("standing").value(to_string(one.standing)).key("reasons").begin_array();
    for (const auto& reason : one.reasons) {
      out.begin_object().key("what").value(reason.what).key("evidence").begin_array();
      for (const auto& line : reason.evidence) out.value(line);
      out.end_array().key("next").value(reason.next).end_object();
    }
    out.end_array().end_object();
  }
  return std::move(out.end_array()).take();
}

}  // namespace holdfast::agent::cli
