// One-shot containers around a rollout. They run at least once: what an agent that was killed left
// running is adopted, and what nobody knows the end of restarts, after its remains are gone.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/text.hpp"
#include "deploy/plan/planner.hpp"
#include "deploy/plan/staging.hpp"

namespace holdfast::deploy::plan {
namespace {

constexpr std::uint32_t kMostTries = 3;
constexpr Milliseconds kCodeComesWithin{2'000};
constexpr Milliseconds kLookAgain{20};

std::string seconds_since(BootTime since, BootTime now) {
  return fmt::format("{:.3f}", std::chrono::duration<double>(now - since).count());
}

Failure failure_of(const proto::Hook& hook, const HookProgress& at, std::string what) {
  return {Errc::unhealthy, hook.name.str(), std::move(what), {{"instance", at.id.str()}}};
}

}  // namespace

Planner::HooksState Planner::run_hooks(proto::HookStage stage, GenerationId generation,
                                       HookProgress& at) {
  const auto* known = document(generation);
  if (known == nullptr) return HooksState::done;
  const auto& hooks = known->hooks.of(stage);
  while (at.done < hooks.size()) {
    const auto& hook = hooks[at.done];
    const auto began = at.id;
    auto end = run_hook(hook, generation, at);
    std::map<std::string, std::string> detail{{"stage", std::string{to_string(stage)}},
                                              {"instance", at.id.str()}};
    if (!at.id.empty() && at.id != began)
      note(proto::EntryKind::hook_started, generation, fmt::format("{} hook", to_string(stage)),
           detail, hook.name.str());
    if (!end) return HooksState::running;
    detail["seconds"] = seconds_since(at.since, now_);
    at = HookProgress{.done = at.done + 1};
    if (!end->failure) {
      note(proto::EntryKind::hook_finished, generation, fmt::format("{} hook", to_string(stage)),
           std::move(detail), hook.name.str());
      continue;
    }
    hook_failure_ = std::move(end->failure);
    hook_failure_->what = fmt::format("{} hook {}", to_string(stage), hook_failure_->what);
    hook_failure_->evidence["hook"] = hook.name.str();
    detail.insert(hook_failure_->evidence.begin(), hook_failure_->evidence.end());
    note(proto::EntryKind::hook_failed, generation, hook_failure_->what, std::move(detail),
         hook.name.str());
    return HooksState::failed;
  }
  return HooksState::done;
}

/// Never twice at once, and never one beside the undoing of it: what is left of earlier runs of
/// this hook, or of other hooks of its document, goes first.
bool Planner::hook_remains(const proto::Hook& hook, GenerationId generation) const {
  const auto* known = document(generation);
  const auto kept = instances_in_use(out_.progress);
  return std::any_of(observed_.instances.begin(), observed_.instances.end(), [&](const auto& row) {
    const auto& seen = row.second.seen;
    const bool sibling = seen.generation == generation.value() && known != nullptr &&
                         !known->services.contains(seen.service) &&
                         proto::container(*known, seen.service) != nullptr;
    return !kept.contains(row.first) && (sibling || seen.service == hook.name);
  });
}

std::optional<Planner::HookEnd> Planner::run_hook(const proto::Hook& hook, GenerationId generation,
                                                  HookProgress& at) {
  if (at.id.empty()) {
    if (hook_remains(hook, generation) || busy(hook.name)) return std::nullopt;
    at.id = allot(hook.name, hook.service);
    at.since = now_;
  }
  const auto* view = find(at.id);
  const bool ended = view != nullptr && view->seen.state == InstanceState::exited;
  const BootTime deadline = at.since + hook.deadline;
  if (now_ >= deadline && !ended) {
    auto late = failure_of(
        hook, at,
        fmt::format("{} did not end within {}", hook.name.str(), human_duration(hook.deadline)));
    late.evidence["deadline"] = human_duration(hook.deadline);
    return HookEnd{std::move(late)};
  }
  if (!ended) wake(deadline);
  if (view == nullptr) return create_hook(hook, generation, at);
  switch (view->seen.state) {
    case InstanceState::running:
      at.ended = {};
      return std::nullopt;
    case InstanceState::frozen:
      act(Thaw{at.id});
      return std::nullopt;
    case InstanceState::exited:
      break;
    default:
      // One that ends as soon as it began looks half made, or without its conmon, for a moment.
      if (busy(hook.name)) return std::nullopt;
      if (at.ended == BootTime{}) at.ended = now_;
      if (now_ >= at.ended + kCodeComesWithin) return restart_hook(hook, at);
      wake(now_ + kLookAgain);
      return std::nullopt;
  }
  if (!view->seen.exit) {
    // Its conmon writes the code a moment after the end; one that was killed itself never does.
    if (at.ended == BootTime{}) at.ended = now_;
    if (now_ >= at.ended + kCodeComesWithin) return restart_hook(hook, at);
    wake(now_ + kLookAgain);
    return std::nullopt;
  }
  const auto& exit = *view->seen.exit;
  if (exit.code == 0) return HookEnd{};
  auto failed =
      failure_of(hook, at,
                 exit.oom ? fmt::format("{} was killed for using too much memory", hook.name.str())
                          : fmt::format("{} exited with code {}", hook.name.str(), exit.code));
  failed.evidence["exit_code"] = std::to_string(exit.code);
  failed.evidence["oom"] = exit.oom ? "yes" : "no";
  return HookEnd{std::move(failed)};
}

std::optional<Planner::HookEnd> Planner::create_hook(const proto::Hook& hook,
                                                     GenerationId generation, HookProgress& at) {
  if (busy(hook.name)) return std::nullopt;
  const auto job = observed_.job_failures.find(hook.name);
  if (job != observed_.job_failures.end()) {
    const auto& error = job->second.error;
    if (is_final(job->second)) {
      auto failed = failure_of(
          hook, at, fmt::format("{} could not be started: {}", hook.name.str(), error.what()));
      auto why = start_failure(hook.name, error);
      failed.code = why.code;
      failed.passing = why.passing;
      failed.evidence["next"] = std::move(why.evidence["next"]);
      return HookEnd{std::move(failed)};
    }
    if (job->second.retry_at > now_) {
      wake(job->second.retry_at);
      return std::nullopt;
    }
  }
  act(Create{at.id, hook.name, generation});
  return std::nullopt;
}

/// Its end is not known. Its remains become an orphan, and are gone before it begins again.
std::optional<Planner::HookEnd> Planner::restart_hook(const proto::Hook& hook, HookProgress& at) {
  if (at.tries + 1 >= kMostTries)
    return HookEnd{failure_of(hook, at,
                              fmt::format("{} was begun {} times and its end is not known",
                                          hook.name.str(), kMostTries))};
  at = HookProgress{.done = at.done, .id = {}, .since = {}, .tries = at.tries + 1};
  wake(now_);
  return std::nullopt;
}

void Planner::add_post_rollback_hooks(GenerationId rolled_back_from) {
  const auto* known = document(rolled_back_from);
  if (known != nullptr && !known->hooks.on_rollback.empty())
    state().post_rollback_hooks.push_back({rolled_back_from, {}});
}

/// One that fails is recorded and holds nothing up.
void Planner::step_post_rollback_hooks() {
  auto& all = state().post_rollback_hooks;
  while (!all.empty()) {
    auto& first = all.front();
    switch (run_hooks(proto::HookStage::on_rollback, first.generation, first.hooks)) {
      case HooksState::running:
        return;
      case HooksState::failed:
        continue;  // with the next hook
      case HooksState::done:
        all.erase(all.begin());
        // Who waits for the end of it is looked at again.
        wake(now_);
    }
  }
}

std::map<ServiceName, std::string> hooks_under_way(const Progress& progress,
                                                   const Observed& observed) {
  std::map<ServiceName, std::string> running;
  const auto add = [&](proto::HookStage stage, GenerationId generation, const HookProgress& at) {
    const auto known = observed.documents.find(generation);
    if (at.id.empty() || known == observed.documents.end()) return;
    const auto& hooks = known->second->hooks.of(stage);
    if (at.done >= hooks.size()) return;
    running.emplace(
        hooks[at.done].name,
        fmt::format("{} hook {} of generation {} runs ({} of {})", to_string(stage),
                    hooks[at.done].name.str(), generation.value(), at.done + 1, hooks.size()));
  };
  if (progress.rollout) {
    add(proto::HookStage::before, progress.rollout->target, progress.rollout->hooks_before);
    add(proto::HookStage::after, progress.rollout->target, progress.rollout->hooks_after);
  }
  for (const auto& each : progress.post_rollback_hooks)
    add(proto::HookStage::on_rollback, each.generation, each.hooks);
  return running;
}

}  // namespace holdfast::deploy::plan
