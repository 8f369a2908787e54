// The instance that a rollout leads to: a former one of the same version, thawed or started again,
// or a new one.
#include "deploy/plan/planner.hpp"

namespace holdfast::deploy::plan {

/// A former instance of this version: one that is frozen or runs, or with `ended` one whose process
/// has ended, which the gate starts again in place.
bool Planner::take_former(const ServiceName& service, const proto::Service& wanted, bool ended) {
  for (const auto& [id, retired] : state().retired) {
    const auto* view = find(id);
    if (view == nullptr || view->seen.service != service || view->seen.run_hash != wanted.run_hash)
      continue;
    const auto now = view->seen.state;
    const bool lives = now == InstanceState::frozen || now == InstanceState::running;
    if (ended ? now != InstanceState::exited : !lives) continue;
    if (ended && has_completed(*view, wanted)) continue;  // its end is not that of this run
    if (now == InstanceState::frozen) act(Thaw{id});
    rollout().fresh[service] = id;
    state().retired.erase(id);
    return true;
  }
  return false;
}

void Planner::start_fresh(const ServiceName& service, const proto::Service& wanted) {
  rollout().gate_since[service] = now_;
  if (take_former(service, wanted, false)) return;
  for (const auto& id : state().kept) {
    const auto* view = find(id);
    if (view == nullptr || view->seen.service != service ||
        view->seen.run_hash != wanted.run_hash || view->seen.state != InstanceState::running)
      continue;
    rollout().fresh[service] = id;
    return;
  }
  if (take_former(service, wanted, true)) return;
  rollout().fresh[service] = allot(service, wanted);
  state().completed.erase({service, wanted.run_hash});
}

/// What a former process said when it ended, or did not outlive its thaw, is no verdict on its
/// version: it is started again in place, which needs neither disk nor network, and where that
/// cannot be, another one is made from local layers. A rollback must not fail by a clock that
/// jumped.
bool Planner::revive_former(const ServiceName& service, const proto::Service& wanted,
                            InstanceId& id) {
  const auto* view = find(id);
  if (view->seen.started_boot >= rollout().gate_since[service]) return false;
  if (busy(service)) return true;
  if (!observed_.job_failures.contains(service)) {
    act(RestartProcess{id, service});
    return true;
  }
  state().released.emplace(id, wanted.stop);
  id = allot(service, wanted);
  rollout().gate_since[service] = now_;
  act(Create{id, service, rollout().target});
  return true;
}

}  // namespace holdfast::deploy::plan
