// What a rollout waits for once its images are here: an operator's hold, its window.
#include <fmt/format.h>

#include "deploy/plan/planner.hpp"
#include "deploy/plan/staging.hpp"

namespace holdfast::deploy::plan {
namespace {

std::string held_text(const Hold& hold) {
  return fmt::format("held by {}{}{}", hold.actor,
                     hold.until ? " until " + to_rfc3339(*hold.until) : "",
                     hold.reason.empty() ? "" : ": " + hold.reason);
}

bool still_holds(const WindowAnswer& answer, const Rollout& rollout, WallTime now) {
  if (answer.from != rollout.from || answer.target != rollout.target) return false;
  return answer.asked == now || (answer.asked < now && now < answer.asked + kLongestByWall &&
                                 (!answer.opening.at || now < *answer.opening.at));
}

}  // namespace

std::optional<WindowAnswer> look_at_windows(const Progress& progress, const Observed& observed) {
  if (!progress.rollout || has_begun(progress) || progress.rollout->now ||
      progress.rollout->trigger == Trigger::rollback)
    return std::nullopt;
  const auto& rollout = *progress.rollout;
  const auto target = observed.documents.find(rollout.target);
  if (target == observed.documents.end()) return std::nullopt;
  if (observed.windows && still_holds(*observed.windows, rollout, observed.wall))
    return observed.windows;
  const auto from = observed.documents.find(rollout.from);
  const auto windows = windows_between(
      from == observed.documents.end() ? nullptr : from->second.get(), *target->second);
  WindowAnswer answer{rollout.from,
                      rollout.target,
                      observed.wall,
                      next_common(windows, observed.zones, observed.wall),
                      {}};
  if (answer.opening.at != observed.wall)
    answer.text = answer.opening.at ? "its window opens " +
                                          local_text(*answer.opening.at, windows, observed.zones)
                                    : answer.opening.why_not;
  return answer;
}

bool has_begun(const Progress& progress) {
  return progress.rollout && progress.rollout->phase != Phase::staging &&
         progress.rollout->phase != Phase::waiting;
}

GenerationId effective_generation(const Progress& progress) {
  return !progress.rollout || has_begun(progress) ? progress.current : progress.rollout->from;
}

bool is_waiting(const Progress& progress) {
  return progress.rollout && progress.rollout->phase == Phase::waiting;
}

Progress withdraw(const Progress& progress) {
  return gives_way(progress) ? without_rollout(progress) : progress;
}

Progress without_rollout(const Progress& progress) {
  Progress next = progress;
  next.current = progress.rollout->from;
  next.rollout.reset();
  return next;
}

std::optional<Wait> waits_for(const Progress& progress, const Observed& observed) {
  if (!progress.rollout || progress.rollout->trigger == Trigger::rollback) return std::nullopt;
  if (progress.hold)
    return Wait{Wait::Cause::hold, progress.hold->until, held_text(*progress.hold)};
  const auto answer = look_at_windows(progress, observed);
  if (!answer || answer->opening.at == observed.wall) return std::nullopt;
  return Wait{Wait::Cause::window, answer->opening.at, answer->text};
}

void Planner::end_hold() {
  const auto& hold = state().hold;
  if (!hold || !hold->until) return;
  if (*hold->until > observed_.wall) return wake(*hold->until);
  note(proto::EntryKind::resumed, {}, "the hold ended at its time",
       {{"held_by", hold->actor}, {"held_since", to_rfc3339(hold->since)}});
  state().hold.reset();
}

/// Images are here: begin, or wait.
void Planner::begin_or_wait() {
  // What an earlier one left behind is tidied first; only a rollback does not wait for that.
  if (rollout().trigger != Trigger::rollback && !state().post_rollback_hooks.empty()) return;
  const auto wait = waits_for(state(), observed_);
  if (!wait) return enter(Phase::starting);
  if (rollout().phase != Phase::waiting) {
    enter(Phase::waiting);
    out_.notes.back().detail["waits_for"] = wait->text;
  }
  if (wait->until) wake(*wait->until);
}

}  // namespace holdfast::deploy::plan
