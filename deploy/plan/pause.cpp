#include "deploy/plan/plan.hpp"

namespace holdfast::deploy::plan {
namespace {

void later(BootTime& time, BootClock::duration pause) {
  if (time != BootTime{}) time += pause;
}

void later(std::map<ServiceName, BootTime>& times, BootClock::duration pause) {
  for (auto& [name, time] : times) later(time, pause);
}

void later(HookProgress& hooks, BootClock::duration pause) {
  later(hooks.since, pause);
  later(hooks.ended, pause);
}

}  // namespace

Progress shift(const Progress& progress, BootClock::duration pause) {
  Progress next = progress;
  if (next.rollout) {
    later(next.rollout->since, pause);
    later(next.rollout->gate_since, pause);
    later(next.rollout->hooks_before, pause);
    later(next.rollout->hooks_after, pause);
  }
  if (next.rehearsal) {
    later(next.rehearsal->since, pause);
    later(next.rehearsal->gate_since, pause);
  }
  for (auto& each : next.post_rollback_hooks) later(each.hooks, pause);
  for (auto& [id, retired] : next.retired) {
    if (!retired.standby) later(retired.since, pause);
  }
  return next;
}

}  // namespace holdfast::deploy::plan
