#include "deploy/plan/model/window.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace holdfast::deploy::plan {
namespace {

using std::chrono::days;
using std::chrono::minutes;
using std::chrono::sys_days;

struct Span {
  WallTime begin;
  WallTime end;
};

/// The window that begins on this local day; none when it does not begin on such days.
std::optional<Span> on_day(const proto::UpdateWindow& window, const TimeZone& zone, sys_days day) {
  const auto weekday = std::chrono::weekday{day}.iso_encoding() - 1;
  if ((window.days >> weekday & 1U) == 0) return std::nullopt;
  const sys_days last = window.end <= window.begin ? day + days{1} : day;
  const Span span{zone.instant(day + minutes{window.begin}, TimeZone::Pick::first),
                  zone.instant(last + minutes{window.end}, TimeZone::Pick::last)};
  return span.begin < span.end ? std::optional{span} : std::nullopt;
}

sys_days local_day(const TimeZone& zone, WallTime at) {
  return std::chrono::floor<days>(zone.local(at));
}

}  // namespace

bool is_open(const proto::UpdateWindow& window, const TimeZone& zone, WallTime at) {
  const auto today = local_day(zone, at);
  for (const auto day : {today - days{1}, today}) {
    const auto span = on_day(window, zone, day);
    if (span && span->begin <= at && at < span->end) return true;
  }
  return false;
}

std::optional<WallTime> next_open(const proto::UpdateWindow& window, const TimeZone& zone,
                                  WallTime at) {
  if (is_open(window, zone, at)) return at;
  const auto today = local_day(zone, at);
  for (int ahead = 0; ahead <= 9; ++ahead) {
    const auto span = on_day(window, zone, today + days{ahead});
    if (span && span->begin >= at) return span->begin;
  }
  return std::nullopt;
}

Opening next_common(const std::vector<proto::UpdateWindow>& windows, const Zones& zones,
                    WallTime at) {
  const auto limit = at + days{35};
  int looks = 0;
  for (WallTime candidate = at; candidate < limit;) {
    const WallTime began = candidate;
    for (const auto& window : windows) {
      if (++looks > kMostWindowLooks)
        return {{},
                fmt::format("its {} windows leave no time that could be found", windows.size())};
      const auto zone = zones.find(window.zone);
      if (zone == zones.end())
        return {{}, fmt::format("this host does not know the time zone {}", window.zone)};
      const auto open = next_open(window, zone->second, candidate);
      if (!open) return {{}, "its window never opens"};
      candidate = *open;
    }
    if (candidate == began) return {candidate, {}};
  }
  return {{}, "the windows of its services are never open together"};
}

std::vector<proto::UpdateWindow> windows_between(const proto::Deployment* before,
                                                 const proto::Deployment& after) {
  std::vector<proto::UpdateWindow> windows;
  if (before == nullptr) return windows;
  const auto take = [&](const proto::Service& service) {
    const auto& window = service.update.window;
    if (window && std::find(windows.begin(), windows.end(), *window) == windows.end())
      windows.push_back(*window);
  };
  for (const auto& [name, wanted] : after.services) {
    const auto old = before->services.find(name);
    if (old == before->services.end() || old->second.run_hash != wanted.run_hash) take(wanted);
  }
  for (const auto& [name, old] : before->services) {
    if (!after.services.contains(name)) take(old);
  }
  return windows;
}

std::string local_text(WallTime at, const std::vector<proto::UpdateWindow>& windows,
                       const Zones& zones) {
  const auto name = windows.empty() ? std::string{"UTC"} : windows.front().zone;
  const auto zone = zones.find(name);
  const auto local = zone == zones.end() ? at : zone->second.local(at);
  const auto day = std::chrono::floor<days>(local);
  const std::chrono::year_month_day date{day};
  const auto minute = std::chrono::duration_cast<minutes>(local - day).count();
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02} {}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     minute / 60, minute % 60, zone == zones.end() ? "UTC" : name);
}

}  // namespace holdfast::deploy::plan
