#include "agent/cli/render/when.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/text.hpp"

namespace holdfast::agent::cli {
namespace {

using namespace std::chrono_literals;

std::string one_unit(std::chrono::seconds span) {
  if (span < 60s) return fmt::format("{}s", span.count());
  if (span < 1h) return fmt::format("{}m", span / 1min);
  if (span < 48h) return fmt::format("{}h", span / 1h);
  return fmt::format("{}d", span / 24h);
}

Error bad_span(std::string_view text) {
  return Error{Errc::usage, fmt::format("\"{}\" is not a duration", printable(text))}.hint(
      "write it like 90s, 5m, 1h30m or 2d");
}

}  // namespace

std::string age(std::string_view since, WallTime now) {
  const auto time = parse_rfc3339(since);
  if (!time) return "-";
  return one_unit(std::max(std::chrono::duration_cast<std::chrono::seconds>(now - *time), 0s));
}

std::string ago(std::string_view time, WallTime now) {
  const auto parsed = parse_rfc3339(time);
  if (!parsed) return time.empty() ? "-" : std::string{time};
  if (*parsed > now + 1min) return std::string{time};
  const auto span = std::chrono::duration_cast<std::chrono::seconds>(now - *parsed);
  return span < 1s ? "now" : one_unit(span) + " ago";
}

std::string seconds_text(double seconds) {
  if (seconds < 0.9995) return fmt::format("{:.0f}ms", seconds * 1000);
  if (seconds < 59.95) return fmt::format("{:.1f}s", seconds);
  return human_duration(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds)));
}

Result<Milliseconds> parse_span(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, Milliseconds>, 5> kUnits{
      {{"ms", 1ms}, {"s", 1s}, {"m", 1min}, {"h", 1h}, {"d", 24h}}};
  constexpr std::uint64_t kMost = 1'000'000'000;
  if (text.empty()) return bad_span(text);
  Milliseconds sum{0};
  for (auto rest = text; !rest.empty();) {
    const auto end = std::min(rest.find_first_not_of("0123456789"), rest.size());
    const auto number = parse_number(rest.substr(0, end));
    if (!number || *number > kMost) return bad_span(text);
    rest.remove_prefix(end);
    const auto unit_end = std::min(rest.find_first_of("0123456789"), rest.size());
    const auto unit = rest.substr(0, unit_end);
    rest.remove_prefix(unit_end);
    Milliseconds size{0};
    for (const auto& [name, value] : kUnits)
      if (name == unit) size = value;
    if (unit.empty() && rest.empty() && sum == 0ms) size = 1s;
    if (size == 0ms) return bad_span(text);
    sum += size * static_cast<Milliseconds::rep>(*number);
  }
  return sum;
}

Result<WallTime> parse_since(std::string_view text, WallTime now) {
  if (auto span = parse_span(text)) return now - *span;
  if (auto time = parse_rfc3339(text)) return *time;
  return Error{Errc::usage, fmt::format("\"{}\" is neither a duration nor a time", printable(text))}
      .hint("write it like 1h, 30m or 2026-12-01T09:00:00Z");
}

}  // namespace holdfast::agent::cli
