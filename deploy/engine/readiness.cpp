// How ready the way back is: rehearsals, standby instances, and what hooks left to be done.
#include <fmt/format.h>

#include <algorithm>

#include "common/log/log.hpp"
#include "deploy/engine/core.hpp"
#include "proto/api/codec.hpp"

namespace holdfast::deploy::engine {

/// Those whose documents decisions need.
std::set<plan::GenerationId> Core::generations_in_use() const {
  std::set<GenerationId> ids{progress_.current};
  if (progress_.rollout) ids.insert(progress_.rollout->from);
  if (progress_.rehearsal) ids.insert(progress_.rehearsal->target);
  for (const auto& each : progress_.aftermath) ids.insert(each.generation);
  ids.erase(GenerationId{});
  return ids;
}

Result<proto::api::Accepted> Core::rehearse(const proto::api::RehearseRequest& request,
                                            const Actor& actor) {
  if (progress_.rehearsal)
    return Error{Errc::busy, fmt::format("generation {} is being rehearsed",
                                         progress_.rehearsal->target.value())}
        .hint("wait for it: holdfast events -f");
  HF_ASSIGN(const auto target, rollback_target(request.generation));
  HF_TRY(check_local(target));
  auto next = plan::begin_rehearsal(progress_, target, actor, request.reason, ports_.clock.boot());
  const auto since = events_.last();
  ledger::Batch batch;
  batch.progress = plan::encode_progress(next);
  HF_TRY(commit(std::move(batch)));
  progress_ = std::move(next);
  changed_ = true;
  const auto* row = generation(target);
  return proto::api::Accepted{target.value(), row == nullptr ? "" : row->spec_digest.str(), true,
                              since};
}

/// On the schedule of agent.yaml; what was cut off is due again.
void Core::begin_due_rehearsal() {
  const auto every = options_.config.rehearse_every;
  if (every == Milliseconds{0} || progress_.rollout || progress_.rehearsal || !ready_ ||
      !ledger_ok_ || !progress_.aftermath.empty())
    return;
  const auto& last = progress_.rehearsed;
  using Kind = plan::RehearsalVerdict::Kind;
  if (last && last->kind != Kind::cut_off && ports_.clock.wall() < last->at + every) return;
  const auto target = rollback_target(0);
  if (!target || !check_local(*target)) return;
  if (auto begun = rehearse({0, "on schedule"}, "agent"); !begun)
    log::warn("event=rehearsal_failed error={}", log::field(begun.error().to_string()));
}

Result<proto::api::StandbyDropped> Core::drop_standby(const proto::api::StandbyDropRequest& request,
                                                      const Actor& actor) {
  proto::api::StandbyDropped answer{standby_status()};
  if (answer.dropped.empty()) return answer;
  auto next = plan::drop_standby(progress_).first;
  auto note =
      entry(proto::EntryKind::standby_dropped, actor, request.reason, plan::in_force(progress_));
  for (const auto& each : answer.dropped) note.detail.emplace(each.instance, each.service);
  ledger::Batch batch;
  batch.entries.push_back(std::move(note));
  batch.progress = plan::encode_progress(next);
  HF_TRY(commit(std::move(batch)));
  progress_ = std::move(next);
  figures_.standby_dropped["operator"] += answer.dropped.size();
  changed_ = true;
  return answer;
}

/// Looked at only while something is frozen that could be given up.
void Core::observe_memory() {
  constexpr Milliseconds kPace{1'000};
  const bool frozen = std::any_of(progress_.retired.begin(), progress_.retired.end(),
                                  [](const auto& row) { return row.second.standby; });
  const bool looks = frozen && options_.memory_signs;
  if (looks && ports_.clock.boot() < next_memory_look_) return;
  observed_.memory_short.clear();
  if (!looks) return;
  next_memory_look_ = ports_.clock.boot() + kPace;
  const auto& rule = options_.config.standby;
  const auto signs = options_.memory_signs();
  if (signs.pressure) {
    if (rule.memory_pressure != 0 && *signs.pressure >= rule.memory_pressure)
      observed_.memory_short = fmt::format(
          "memory is short: something waited for it in {:.1f} % of the last 10 s "
          "(limit {} %)",
          *signs.pressure, rule.memory_pressure);
  } else if (signs.available && *signs.available < rule.memory_available) {
    observed_.memory_short =
        fmt::format("memory is short: {} MiB are available (limit {} MiB)",
                    signs.available->value() >> 20U, rule.memory_available.value() >> 20U);
  }
}

/// A hook or a rehearsal that could not be started is over; it must not make the host look unwell.
void Core::forget_job_failures() {
  std::set<plan::ServiceName> alive;
  for (const auto& [id, known] : observed_.documents) {
    for (const auto& [name, service] : known->services) alive.insert(name);
  }
  for (const auto& [name, text] : plan::hooks_under_way(progress_, observed_)) alive.insert(name);
  if (progress_.rehearsal) {
    for (const auto& [name, id] : progress_.rehearsal->instances)
      alive.insert(plan::rehearsal_name(name));
  }
  std::erase_if(observed_.job_failures,
                [&](const auto& row) { return !alive.contains(row.first); });
}

void Core::count_readiness(const plan::Note& note) {
  if (note.kind == proto::EntryKind::hook_finished || note.kind == proto::EntryKind::hook_failed)
    ++figures_.hooks[{note.detail.at("stage"),
                      note.kind == proto::EntryKind::hook_finished ? "success" : "failure"}];
  if (note.kind == proto::EntryKind::standby_dropped)
    figures_.standby_dropped["memory"] += note.detail.size();
}

std::vector<proto::api::StandbyStatus> Core::standby_status() const {
  std::vector<proto::api::StandbyStatus> all;
  const auto now = ports_.clock.boot();
  for (const auto& [id, retired] : progress_.retired) {
    if (!retired.standby) continue;
    const auto view = observed_.instances.find(id);
    const auto since =
        ports_.clock.wall() - std::chrono::duration_cast<Milliseconds>(now - retired.since);
    all.push_back({view == observed_.instances.end() ? "" : view->second.seen.service.str(),
                   id.str(), to_rfc3339(since), to_rfc3339(since + retired.keep)});
  }
  return all;
}

proto::api::RehearsalStatus Core::rehearsal_status() const {
  if (const auto& r = progress_.rehearsal) {
    const bool running = !r->instances.empty();
    const auto took = std::chrono::duration<double>(ports_.clock.boot() - r->since).count();
    return {r->target.value(),
            running ? "running" : "waiting",
            running ? r->reason : "for the roll-out under way",
            r->actor,
            to_rfc3339(ports_.clock.wall()),
            running ? took : 0,
            {}};
  }
  const auto& v = *progress_.rehearsed;
  return {v.generation.value(), std::string{plan::to_string(v.kind)},          v.reason, v.actor,
          to_rfc3339(v.at),     std::chrono::duration<double>(v.took).count(), v.remarks};
}

/// For who waits for the verdict.
void Core::announce_rehearsal() {
  proto::api::Event event;
  event.time = to_rfc3339(ports_.clock.wall());
  event.kind = "rehearsal_result";
  event.generation = progress_.rehearsed->generation.value();
  event.message = std::string{plan::to_string(progress_.rehearsed->kind)};
  event.detail = proto::api::encode(rehearsal_status());
  events_.publish(std::move(event));
}

void Core::fill_readiness(proto::api::Status& status) {
  status.standby = standby_status();
  if (progress_.rehearsal || progress_.rehearsed) status.rehearsal = rehearsal_status();
  if (!progress_.rehearsed) return;
  figures_.rehearsal_verdict = plan::to_string(progress_.rehearsed->kind);
  figures_.rehearsal_timestamp =
      std::chrono::duration<double>(progress_.rehearsed->at.time_since_epoch()).count();
}

}  // namespace holdfast::deploy::engine
