#include "proto/yaml/scalars.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/base/text.hpp"

namespace holdfast::proto::yaml {
namespace {

constexpr std::size_t kShown = 80;
constexpr std::uint64_t kMaxDurationMs = 365ULL * 86'400'000;
constexpr std::uint64_t kMaxSize = 1ULL << 53;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool all(std::string_view text, bool (*accept)(char)) {
  return !text.empty() && std::all_of(text.begin(), text.end(), accept);
}

bool is_boolean_word(std::string_view text) {
  static constexpr std::array<std::string_view, 6> kWords{"true", "false", "yes",
                                                          "no",   "on",    "off"};
  std::string lower{text};
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (std::find(kWords.begin(), kWords.end(), lower) == kWords.end()) return false;
  const auto tail = text.substr(1);  // true, True and TRUE, but not tRue
  const auto lower_tail = std::string_view{lower}.substr(1);
  return tail == lower_tail ||
         std::none_of(text.begin(), text.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

bool is_based_number(std::string_view text) {
  if (text.size() < 3 || text[0] != '0') return false;
  const auto digits = text.substr(2);
  switch (text[1]) {
    case 'x':
      return all(digits, [](char c) {
        return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == '_';
      });
    case 'o':
      return all(digits, [](char c) { return c >= '0' && c <= '7'; });
    case 'b':
      return all(digits, [](char c) { return c == '0' || c == '1' || c == '_'; });
    default:
      return false;
  }
}

/// 22:30 and 1:30:00 are base-60 numbers in YAML 1.1.
bool is_sexagesimal(std::string_view text) {
  if (text.find(':') == std::string_view::npos) return false;
  const auto parts = split(text, ':');
  if (!all(parts.front(), [](char c) { return is_digit(c) || c == '_'; })) return false;
  for (std::size_t i = 1; i < parts.size(); ++i) {
    auto part = parts[i];
    if (i + 1 == parts.size()) part = part.substr(0, part.find('.'));
    if (!all(part, is_digit) || part.size() > 2 || (part.size() == 2 && part[0] > '5'))
      return false;
  }
  return true;
}

bool is_decimal_or_float(std::string_view text) {
  const auto exponent = text.find_first_of("eE");
  auto mantissa = text.substr(0, exponent);
  if (exponent != std::string_view::npos) {
    auto power = text.substr(exponent + 1);
    if (!power.empty() && (power[0] == '+' || power[0] == '-')) power.remove_prefix(1);
    if (!all(power, is_digit)) return false;
  }
  const auto dots = std::count(mantissa.begin(), mantissa.end(), '.');
  const bool has_digit = std::any_of(mantissa.begin(), mantissa.end(), is_digit);
  return has_digit && dots <= 1 && mantissa.front() != '_' &&
         all(mantissa, [](char c) { return is_digit(c) || c == '.' || c == '_'; });
}

bool is_number(std::string_view text) {
  if (text[0] == '+' || text[0] == '-') text.remove_prefix(1);
  if (text.empty()) return false;
  for (const auto word : {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"}) {
    if (text == word) return true;
  }
  return is_based_number(text) || is_sexagesimal(text) || is_decimal_or_float(text);
}

/// 2026-12-01, alone or with a time behind it.
bool is_timestamp(std::string_view text) {
  const auto end = text.find_first_of("Tt \t");
  const auto parts = split(text.substr(0, end), '-');
  return parts.size() == 3 && parts[0].size() == 4 && all(parts[0], is_digit) &&
         parts[1].size() <= 2 && all(parts[1], is_digit) && parts[2].size() <= 2 &&
         all(parts[2], is_digit);
}

}  // namespace

std::string_view other_type(std::string_view plain) {
  if (plain.empty()) return {};
  if (is_boolean_word(plain)) return "a boolean";
  if (is_number(plain)) return "a number";
  if (is_timestamp(plain)) return "a time";
  return {};
}

std::optional<Milliseconds> parse_duration(std::string_view text) {
  struct Unit {
    std::string_view name;
    std::uint64_t ms;
  };
  static constexpr std::array<Unit, 4> kUnits{
      {{"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};
  std::uint64_t total = 0;
  std::size_t next_unit = 0;
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
    if (digits == 0 || digits > 12) return std::nullopt;
    const auto number = parse_number(text.substr(0, digits));
    text.remove_prefix(digits);
    const auto name = text.substr(0, std::min(text.find_first_of("0123456789"), text.size()));
    text.remove_prefix(name.size());
    while (next_unit < kUnits.size() && kUnits[next_unit].name != name) ++next_unit;
    if (!number || next_unit == kUnits.size() || *number > kMaxDurationMs) return std::nullopt;
    total += *number * kUnits[next_unit++].ms;
    if (total > kMaxDurationMs) return std::nullopt;
  }
  return Milliseconds{static_cast<Milliseconds::rep>(total)};
}

std::optional<Bytes> parse_size(std::string_view text) {
  static constexpr std::string_view kPrefixes = "KMGT";
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = parse_integer(text.substr(0, digits));
  if (!number) return std::nullopt;
  auto unit = text.substr(digits);
  unsigned shift = 0;
  if (!unit.empty()) {
    const auto prefix = kPrefixes.find(unit.front());
    unit.remove_prefix(1);
    if (prefix == std::string_view::npos || (unit != "i" && unit != "iB")) return std::nullopt;
    shift = static_cast<unsigned>(prefix + 1) * 10;
  }
  if (*number > (kMaxSize >> shift)) return std::nullopt;
  return Bytes{*number << shift};
}

std::optional<std::uint32_t> parse_millis(std::string_view text) {
  const auto dot = text.find('.');
  const auto whole = parse_integer(text.substr(0, dot));
  if (!whole || *whole > 1'000'000) return std::nullopt;
  std::uint64_t value = *whole * 1000;
  if (dot != std::string_view::npos) {
    const auto fraction = text.substr(dot + 1);
    if (!all(fraction, is_digit) || fraction.size() > 3) return std::nullopt;
    std::uint64_t scale = 100;
    for (const char c : fraction) {
      value += static_cast<std::uint64_t>(c - '0') * scale;
      scale /= 10;
    }
  }
  return static_cast<std::uint32_t>(value);
}

std::optional<std::uint64_t> parse_integer(std::string_view text) {
  if (!all(text, is_digit) || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  const auto number = parse_number(text);
  if (!number) return std::nullopt;
  return *number;
}

std::string shown(std::string_view text) {
  return printable(text.substr(0, kShown)) + (text.size() > kShown ? "…" : "");
}

std::string describe(const Node& node) {
  switch (node.kind) {
    case Kind::null:
      return "nothing";
    case Kind::sequence:
      return "a list";
    case Kind::mapping:
      return "a mapping";
    case Kind::scalar:
      break;
  }
  const auto other = node.style == Style::plain ? other_type(node.text) : std::string_view{};
  if (other.empty()) return fmt::format("the string \"{}\"", shown(node.text));
  return fmt::format("the {} {}", other.substr(other.find(' ') + 1), shown(node.text));
}

std::string value_text(const Node& node) {
  if (node.kind != Kind::scalar) return describe(node);
  return node.style == Style::plain ? shown(node.text) : fmt::format("\"{}\"", shown(node.text));
}

}  // namespace holdfast::proto::yaml
