#include "deploy/engine/commands/standby.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace holdfast::deploy::engine {

Result<proto::api::StandbyDropped> Standby::drop(const proto::api::StandbyDropRequest& request,
                                                 const Actor& actor) {
  auto& journal = parts_.journal;
  const auto& clock = parts_.ports.clock;
  proto::api::StandbyDropped answer{
      standby_status(journal.progress(), parts_.observed, clock.boot(), clock.wall())};
  if (answer.dropped.empty()) return answer;
  auto note =
      journal.entry(proto::EntryKind::standby_dropped, actor, request.reason, journal.effective());
  for (const auto& each : answer.dropped) note.detail.emplace(each.instance, each.service);
  HF_TRY(journal.advance(plan::drop_standby(journal.progress()).first,
                         {.entries = {std::move(note)}}));
  parts_.counters.standby_dropped["operator"] += answer.dropped.size();
  return answer;
}

void Standby::observe_memory() {
  constexpr Milliseconds kPace{1'000};
  const auto& retired = parts_.journal.progress().retired;
  const bool looks = parts_.options.memory_signs &&
                     std::any_of(retired.begin(), retired.end(),
                                 [](const auto& row) { return row.second.standby; });
  const auto now = parts_.ports.clock.boot();
  if (looks && now < next_look_) return;
  parts_.observed.memory_short.clear();
  if (!looks) return;
  next_look_ = now + kPace;
  parts_.observed.memory_short = why_short();
}

/// Empty: it is not.
std::string Standby::why_short() const {
  const auto& rule = parts_.options.config.standby;
  const auto signs = parts_.options.memory_signs();
  if (signs.pressure)
    return rule.memory_pressure != 0 && *signs.pressure >= rule.memory_pressure
               ? fmt::format(
                     "memory is short: something waited for it in {:.1f} % of the last "
                     "10 s (limit {} %)",
                     *signs.pressure, rule.memory_pressure)
               : std::string{};
  if (signs.available && *signs.available < rule.memory_available)
    return fmt::format("memory is short: {} MiB are available (limit {} MiB)",
                       signs.available->value() >> 20U, rule.memory_available.value() >> 20U);
  return {};
}

std::vector<proto::api::StandbyStatus> standby_status(const plan::Progress& progress,
                                                      const plan::Observed& observed, BootTime boot,
                                                      WallTime wall) {
  std::vector<proto::api::StandbyStatus> all;
  for (const auto& [id, retired] : progress.retired) {
    if (!retired.standby) continue;
    const auto view = observed.instances.find(id);
    const auto since = wall - std::chrono::duration_cast<Milliseconds>(boot - retired.since);
    all.push_back({view == observed.instances.end() ? "" : view->second.seen.service.str(),
                   id.str(), to_rfc3339(since), to_rfc3339(since + retired.keep)});
  }
  return all;
}

}  // namespace holdfast::deploy::engine
