#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/base/text.hpp"
#include "proto/deployment/readers.hpp"

namespace holdfast::proto {
namespace {

constexpr std::array<std::string_view, 3> kWindowKeys{"days", "hours", "zone"};
constexpr std::array<std::string_view, 7> kDays{"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
constexpr std::uint16_t kEndOfDay = 24 * 60;

/// "22:00" → 1320; nothing when it is no time of a day. 24:00 is one.
std::optional<std::uint16_t> minutes(std::string_view text) {
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  const auto hour = parse_number(text.substr(0, 2));
  const auto minute = parse_number(text.substr(3, 2));
  if (!hour || !minute || *minute > 59) return std::nullopt;
  const auto sum = *hour * 60 + *minute;
  if (sum > kEndOfDay) return std::nullopt;
  return static_cast<std::uint16_t>(sum);
}

void read_hours(yaml::Fields& fields, UpdateWindow& window, json::Object& canon) {
  const auto text = fields.text("hours");
  if (!text) return;
  const auto dash = text->value.find('-');
  const auto begin = minutes(std::string_view{text->value}.substr(0, dash));
  const auto end = dash == std::string::npos
                       ? std::nullopt
                       : minutes(std::string_view{text->value}.substr(dash + 1));
  if (!begin || !end || *begin == kEndOfDay || *end == 0 || *begin == *end) {
    fields.findings().error(text->mark,
                            fmt::format("{}: \"{}\" is not a span of hours", fields.path("hours"),
                                        printable(text->value)),
                            "write it like 22:00-04:00; 00:00-24:00 is the whole day");
    return;
  }
  window.begin = *begin;
  window.end = *end;
  canon.set("hours", text->value);
}

void read_days(yaml::Fields& fields, UpdateWindow& window, json::Object& canon) {
  const auto days = fields.texts("days");
  if (!days) return;
  if (days->empty()) {
    fields.findings().error(
        fields.value_mark("days"),
        fmt::format("{} is empty: the window would never open", fields.path("days")),
        "name a day, or leave the key out for every day");
    return;
  }
  std::uint8_t bits = 0;
  for (const auto& day : *days) {
    const auto found = std::find(kDays.begin(), kDays.end(), day.value);
    const auto bit = static_cast<std::uint8_t>(1U << static_cast<unsigned>(found - kDays.begin()));
    if (found == kDays.end()) {
      fields.findings().error(
          day.mark,
          fmt::format("{}: \"{}\" is not a day", fields.path("days"), printable(day.value)),
          "write mon, tue, wed, thu, fri, sat or sun");
    } else if ((bits & bit) != 0) {
      fields.findings().error(day.mark,
                              fmt::format("{}: {} is there twice", fields.path("days"), day.value),
                              "name each day once");
    } else {
      bits |= bit;
    }
  }
  window.days = bits;
  std::vector<std::string> sorted;
  for (std::size_t i = 0; i < kDays.size(); ++i) {
    if ((bits >> i & 1U) != 0) sorted.emplace_back(kDays[i]);
  }
  canon.set_raw("days", json::strings(sorted));
}

bool is_zone_name(std::string_view name) {
  if (name.empty() || name.size() > 64) return false;
  bool part = false;
  for (const char c : name) {
    if (c == '/') {
      if (!part) return false;
      part = false;
      continue;
    }
    const bool fits = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '+' || c == '-';
    if (!fits) return false;
    part = true;
  }
  return part;
}

void read_zone(yaml::Fields& fields, UpdateWindow& window, json::Object& canon) {
  const auto zone = fields.text("zone");
  if (!zone) return;
  if (!is_zone_name(zone->value)) {
    fields.findings().error(zone->mark,
                            fmt::format("{}: \"{}\" is not the name of a time zone",
                                        fields.path("zone"), printable(zone->value)),
                            "write it like UTC or Europe/Berlin");
    return;
  }
  window.zone = zone->value;
  canon.set("zone", zone->value);
}

}  // namespace

void read_window(yaml::Fields& update, UpdateRule& rule, json::Object& canon) {
  const auto* node = update.find("window");
  if (node == nullptr) return;
  yaml::Fields fields{*node, update.path("window"), kWindowKeys, update.findings()};
  fields.require("hours", "write it like 22:00-04:00");
  UpdateWindow window;
  json::Object written;
  read_days(fields, window, written);
  read_hours(fields, window, written);
  read_zone(fields, window, written);
  rule.window = std::move(window);
  canon.set("window", written);
}

}  // namespace holdfast::proto
