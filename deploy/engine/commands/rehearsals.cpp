#include "deploy/engine/commands/rehearsals.hpp"

#include <fmt/format.h>

#include "common/log/log.hpp"

namespace holdfast::deploy::engine {

Result<proto::api::Accepted> Rehearsals::rehearse(const proto::api::RehearseRequest& request,
                                                  const Actor& actor) {
  auto& journal = parts_.journal;
  if (const auto& under_way = journal.progress().rehearsal)
    return Error{Errc::busy,
                 fmt::format("generation {} is being rehearsed", under_way->target.value())}
        .hint("wait for it: holdfast events -f");
  HF_ASSIGN(const auto target, rollbacks_.target(request.generation));
  HF_TRY(rollbacks_.check_local(target));
  const auto since = parts_.events.last();
  HF_TRY(journal.advance(plan::begin_rehearsal(journal.progress(), target, actor, request.reason,
                                               parts_.ports.clock.boot()),
                         {}));
  const auto* row = parts_.generations.find(target);
  return proto::api::Accepted{target.value(), row == nullptr ? "" : row->spec_digest.str(), true,
                              since};
}

void Rehearsals::begin_due() {
  const auto& progress = parts_.journal.progress();
  const auto every = parts_.options.config.rehearse_every;
  if (every == Milliseconds{0} || progress.rollout || progress.rehearsal ||
      !parts_.journal.writable() || !progress.post_rollback_hooks.empty())
    return;
  const auto& last = progress.rehearsed;
  using Kind = plan::RehearsalVerdict::Kind;
  if (last && last->kind != Kind::interrupted && parts_.ports.clock.wall() < last->at + every)
    return;
  const auto target = rollbacks_.target(0);
  if (!target || !rollbacks_.check_local(*target)) return;
  if (auto begun = rehearse({0, "on schedule"}, Actor::agent()); !begun)
    log::warn("event=rehearsal_failed error={}", log::field(begun.error().to_string()));
}

void Rehearsals::announce() {
  const auto& clock = parts_.ports.clock;
  if (const auto verdict = rehearsal_status(parts_.journal.progress(), clock.boot(), clock.wall()))
    announcer_.rehearsal(*verdict);
}

using Verdict = proto::Word<proto::api::RehearsalState>;

std::optional<proto::api::RehearsalStatus> rehearsal_status(const plan::Progress& progress,
                                                            BootTime boot, WallTime wall) {
  if (const auto& r = progress.rehearsal) {
    const bool running = !r->instances.empty();
    const auto took = std::chrono::duration<double>(boot - r->since).count();
    return proto::api::RehearsalStatus{
        r->target.value(),
        running ? proto::api::RehearsalState::running : proto::api::RehearsalState::waiting,
        running ? r->reason : "for the rollout under way",
        r->actor,
        to_rfc3339(wall),
        running ? took : 0,
        {}};
  }
  if (!progress.rehearsed) return std::nullopt;
  const auto& v = *progress.rehearsed;
  return proto::api::RehearsalStatus{
      v.generation.value(), Verdict::read(plan::to_string(v.kind)),        v.reason, v.actor,
      to_rfc3339(v.at),     std::chrono::duration<double>(v.took).count(), v.remarks};
}

}  // namespace holdfast::deploy::engine
