// Outside a rollout, and for what a rollout does not touch: what serves keeps running.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "deploy/plan/planner.hpp"

namespace holdfast::deploy::plan {

using proto::DriftKind;

namespace {
constexpr auto kRestartReset = std::chrono::minutes{10};
}

Milliseconds restart_delay(std::uint32_t attempts) {
  if (attempts == 0) return Milliseconds{0};
  return Milliseconds{std::min<std::int64_t>(1'000LL << std::min(attempts - 1, 6U), 60'000)};
}

void Planner::keep_running() {
  // Before the switch and while reverting, the former generation is the one that must keep serving.
  const bool before_switch =
      state().rollout && rollout().phase != Phase::switching && rollout().phase != Phase::soaking;
  const auto id = before_switch ? rollout().from : state().current;
  const auto* wanted = document(id);
  if (wanted == nullptr) return;
  for (const auto& name : proto::dependency_order(*wanted)) {
    // A rollout minds its fresh instances itself, and those it stopped to replace.
    if (state().rollout &&
        (rollout().replaced.contains(name) || (!before_switch && rollout().fresh.contains(name))))
      continue;
    if (state().rollout && before_switch && !rollout().before.contains(name)) continue;
    keep_service(name, wanted->services.at(name));
  }
}

void Planner::keep_service(const ServiceName& name, const proto::Service& wanted) {
  if (busy(name)) return;
  const auto generation = serving_generation(state());
  const auto serving = state().serving.find(name);
  const auto* view = serving == state().serving.end() ? nullptr : find(serving->second);
  if (view != nullptr && ending(view->seen.id)) return;  // it is started again when it has ended
  if (stays_stopped(name, view) || rests(name, wanted, view)) return;
  if (view != nullptr && view->seen.code_pending) return;  // the end of its monitor is an event
  if (view == nullptr || !is_usable(*view, wanted)) return recreate(name, wanted, generation, view);
  switch (view->seen.state) {
    case InstanceState::frozen:
      if (awaits_restart(name, *view)) return stop(*view, true);
      if (repairs(DriftKind::frozen)) act(Thaw{view->seen.id});
      return;
    case InstanceState::exited:
      return restart_exited(name, wanted, *view);
    default:
      break;
  }
  if (awaits_restart(name, *view)) return stop(*view, true);
  if (mend_running(name, wanted, *view)) return;
  const auto restarts = state().restarts.find(name);
  if (restarts != state().restarts.end() && now_ - view->seen.started_boot >= kRestartReset)
    state().restarts.erase(restarts);
  if (view->health.state == HealthState::unhealthy && wanted.restart != proto::Restart::never &&
      may_restart(name)) {
    state().restarting[name] = view->seen.starts;
    note(proto::EntryKind::restarted, generation, "unhealthy: " + view->health.detail,
         {{"instance", view->seen.id.str()}}, name.str());
    stop(*view, true);
  }
}

/// Nothing about it asks for another instance, or nobody wants that done.
bool Planner::is_usable(const InstanceView& view, const proto::Service& wanted) const {
  const auto state = view.seen.state;
  if (state == InstanceState::broken || state == InstanceState::creating)
    return !view.seen.earlier_boot && !repairs(DriftKind::missing) &&
           !out_.progress.restarting.contains(view.seen.service);
  if (state == InstanceState::unsupervised && repairs(DriftKind::unsupervised)) return false;
  if (view.seen.run_hash != wanted.run_hash && repairs(DriftKind::wrong_run_hash)) return false;
  return std::none_of(
      view.seen.deviations.begin(), view.seen.deviations.end(), [&](const Deviation& each) {
        return each.kind == DriftKind::network && !each.in_place && repairs(DriftKind::network);
      });
}

void Planner::recreate(const ServiceName& name, const proto::Service& wanted,
                       GenerationId generation, const InstanceView* view) {
  const auto serving = state().serving.find(name);
  const auto failed = observed_.job_failures.find(name);
  const bool vanished =
      view == nullptr && serving != state().serving.end() && failed == observed_.job_failures.end();
  if (vanished && !repairs(DriftKind::missing) && !state().restarting.contains(name)) return;
  if (failed != observed_.job_failures.end() && failed->second.retry_at > now_)
    return wake(failed->second.retry_at);
  const auto image = observed_.images.find(wanted.image.digest);
  if (image == observed_.images.end() || image->second.state != ImageView::State::present) {
    const bool wait =
        image != observed_.images.end() &&
        (image->second.state == ImageView::State::pulling ||
         (image->second.state == ImageView::State::failed && image->second.retry_at > now_));
    if (!wait) act(Pull{wanted.image});
    if (wait && image->second.state == ImageView::State::failed) wake(image->second.retry_at);
    return;
  }
  // An id that was allotted but never came to be is used again; one that is half there is left to
  // remove_orphans.
  const bool allotted = serving != state().serving.end() && view == nullptr;
  const auto id = allotted ? serving->second : allot(name, wanted);
  act(Create{id, name, generation});
  state().restarting.erase(name);
  state().serving[name] = id;
  if (state().rollout) rollout().before[name] = id;
}

/// The same pace for all that ends a process on purpose.
bool Planner::may_restart(const ServiceName& name) {
  auto& restart = state().restarts[name];
  const BootTime due = restart.last + restart_delay(restart.attempts);
  if (restart.attempts > 0 && due > now_) {
    wake(due);
    return false;
  }
  restart.last = now_;
  ++restart.attempts;
  return true;
}

/// Puts right what deviates while the process runs. True when the process or instance ends for it.
bool Planner::mend_running(const ServiceName& name, const proto::Service& wanted,
                           const InstanceView& view) {
  const auto& seen = view.seen;
  std::set<DriftKind> mended;
  bool enforced = false;
  for (const auto& deviation : seen.deviations) {
    if (!repairs(deviation.kind) || !mended.insert(deviation.kind).second) continue;
    if (deviation.in_place) {
      if (!std::exchange(enforced, true)) act(Enforce{seen.id});
      continue;
    }
    const auto record = [&] {
      note(proto::EntryKind::restarted, GenerationId{seen.generation}, deviation.evidence,
           {{"instance", seen.id.str()}, {"drift", std::string{proto::to_string(deviation.kind)}}},
           name.str());
    };
    switch (deviation.kind) {
      case DriftKind::foreign_process:
        act(Expel{seen.id, name});
        break;
      case DriftKind::mounts:
      case DriftKind::secret:
      case DriftKind::config:
        if (!may_restart(name)) break;
        record();
        state().restarting[name] = view.seen.starts;
        stop(view, true);
        return true;
      case DriftKind::writes:
        if (!may_restart(name)) break;
        record();
        recreate(name, wanted, GenerationId{seen.generation}, &view);
        return true;
      default:
        break;
    }
  }
  return false;
}

void Planner::restart_exited(const ServiceName& name, const proto::Service& wanted,
                             const InstanceView& view) {
  const int code = view.seen.exit ? view.seen.exit->code : -1;
  if (awaits_restart(name, view)) {  // recorded when it was decided
    const auto failed = observed_.job_failures.find(name);
    if (failed != observed_.job_failures.end() && failed->second.retry_at > now_)
      return wake(failed->second.retry_at);
    return act(RestartProcess{view.seen.id, name});
  }
  if (!repairs(DriftKind::exited) || wanted.restart == proto::Restart::never ||
      (wanted.restart == proto::Restart::on_failure && code == 0))
    return;
  if (!may_restart(name)) return;
  note(proto::EntryKind::restarted, GenerationId{view.seen.generation},
       fmt::format("exited with code {}", code),
       {{"instance", view.seen.id.str()},
        {"exit_code", std::to_string(code)},
        {"oom", view.seen.exit && view.seen.exit->oom ? "yes" : "no"},
        {"attempt", std::to_string(state().restarts[name].attempts)}},
       name.str());
  act(RestartProcess{view.seen.id, name});
}

}  // namespace holdfast::deploy::plan
