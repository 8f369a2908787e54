#include "common/base/clock.hpp"

#include <fmt/format.h>
#include <time.h>

#include <cstdlib>

namespace holdfast {
namespace {

std::chrono::nanoseconds read_clock(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec};
}

/// Reads exactly `width` digits at `pos`; -1 when there are none.
int digits(std::string_view text, std::size_t pos, std::size_t width) {
  if (pos + width > text.size()) return -1;
  int value = 0;
  for (std::size_t i = pos; i < pos + width; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

}  // namespace

WallTime SystemClock::wall() const {
  return WallTime{std::chrono::duration_cast<Milliseconds>(read_clock(CLOCK_REALTIME))};
}

BootTime SystemClock::boot() const { return BootTime{read_clock(CLOCK_BOOTTIME)}; }

std::string to_rfc3339(WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

Result<WallTime> parse_rfc3339(std::string_view text) {
  const auto bad = [&] {
    return Error{Errc::usage, fmt::format("\"{}\" is not a time like 2026-12-01T00:00:00Z", text)};
  };
  const int year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2);
  const int hour = digits(text, 11, 2), minute = digits(text, 14, 2), second = digits(text, 17, 2);
  if (year < 0 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
    return bad();
  if (text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't') || text[13] != ':' ||
      text[16] != ':')
    return bad();
  const std::chrono::year_month_day date{std::chrono::year{year},
                                         std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (month < 1 || day < 1 || !date.ok()) return bad();

  std::size_t pos = 19;
  int millis = 0;
  if (pos < text.size() && text[pos] == '.') {
    int scale = 100;
    const std::size_t first = ++pos;
    for (; pos < text.size() && text[pos] >= '0' && text[pos] <= '9'; ++pos, scale /= 10)
      millis += (text[pos] - '0') * scale;
    if (pos == first || pos - first > 9) return bad();
  }
  if (pos >= text.size()) return bad();
  std::chrono::minutes offset{0};
  if (text[pos] == '+' || text[pos] == '-') {
    const int oh = digits(text, pos + 1, 2), om = digits(text, pos + 4, 2);
    if (oh < 0 || oh > 23 || om < 0 || om > 59 || text[pos + 3] != ':' || pos + 6 != text.size())
      return bad();
    offset = std::chrono::minutes{oh * 60 + om} * (text[pos] == '-' ? -1 : 1);
  } else if ((text[pos] != 'Z' && text[pos] != 'z') || pos + 1 != text.size()) {
    return bad();
  }
  return WallTime{std::chrono::sys_days{date}} + std::chrono::hours{hour} +
         std::chrono::minutes{minute} + std::chrono::seconds{second} + Milliseconds{millis} -
         offset;
}

}  // namespace holdfast
