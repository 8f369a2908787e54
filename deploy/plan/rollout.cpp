// The rollout state machine of packaging/doc/design.md 4: staging → starting → checking →
// switching → soaking → good, and the way back.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/text.hpp"
#include "deploy/plan/planner.hpp"
#include "deploy/plan/staging.hpp"

namespace holdfast::deploy::plan {
namespace {

/// Evidence that nobody saw an instance fail: it is not there any more.
constexpr const char* kGone = "gone";

/// It ended before it was healthy.
Failure early_end(const ServiceName& service, const InstanceView& view) {
  const auto& exit = *view.seen.exit;
  return {Errc::unhealthy,
          service.str(),
          fmt::format("{} {} before it was healthy", service.str(),
                      exit.oom ? std::string{"was killed for using too much memory"}
                               : fmt::format("exited with code {}", exit.code)),
          {{"exit_code", std::to_string(exit.code)},
           {"oom", exit.oom ? "yes" : "no"},
           {"instance", view.seen.id.str()}}};
}

std::string seconds_text(BootClock::duration d) {
  return fmt::format("{:.3f}", std::chrono::duration<double>(d).count());
}

}  // namespace

Progress begin_rollout(const Progress& progress, GenerationId target, Trigger trigger,
                       std::string actor, std::string reason, BootTime now) {
  Progress next = progress;
  Rollout rollout;
  rollout.target = target;
  rollout.from = progress.current;
  rollout.trigger = trigger;
  rollout.actor = std::move(actor);
  rollout.reason = std::move(reason);
  rollout.since = rollout.started = now;
  rollout.before = progress.serving;
  next.current = target;
  next.rollout = std::move(rollout);
  return next;
}

Progress abandon_rollout(const Progress& progress, std::string actor, std::string reason,
                         BootTime now) {
  Progress next = progress;
  if (!next.rollout || next.rollout->phase == Phase::reverting) return next;
  next.rollout->failure =
      Failure{Errc::cancelled, {}, fmt::format("rolled back by {}: {}", actor, reason), {}};
  next.rollout->phase = Phase::reverting;
  next.rollout->since = now;
  return next;
}

void Planner::enter(Phase phase) {
  auto& r = rollout();
  note_phase(to_string(phase));
  r.phase = phase;
  r.since = now_;
  wake(now_);
}

void Planner::step_rollout() {
  // What waits is looked at again each time: an image may have been damaged meanwhile.
  if (rollout().phase == Phase::staging || rollout().phase == Phase::waiting) stage();
  if (rollout().phase == Phase::starting || rollout().phase == Phase::checking) start_and_check();
  if (!state().rollout) return;
  switch (rollout().phase) {
    case Phase::switching:
      if (observed_.routing && *observed_.routing == wanted_routes(state(), observed_)) {
        note(proto::EntryKind::switched, rollout().target, "traffic goes to the new instances");
        enter(Phase::soaking);
        soak();
      }
      break;
    case Phase::soaking:
      soak();
      break;
    case Phase::reverting:
      revert();
      break;
    default:
      break;
  }
}

bool Planner::changed(const ServiceName& service, const proto::Service& wanted) const {
  const auto& r = *out_.progress.rollout;
  const auto serving = r.before.find(service);
  const auto* from = document(r.from);
  const auto former = from == nullptr ? Services::const_iterator{} : from->services.find(service);
  const bool same = from != nullptr && former != from->services.end() &&
                    former->second.run_hash == wanted.run_hash;
  // A one-shot that completed needs no instance.
  if (serving == r.before.end())
    return !same || !completed_at(out_.progress, service, former->second);
  const auto* view = find(serving->second);
  if (view != nullptr && view->seen.state != InstanceState::broken)
    return view->seen.run_hash != wanted.run_hash;
  // What should serve is gone, as after a restart of the host. Where the rollout leaves it as it
  // was, keep_running recreates it, and the rollout need not make another.
  return !same;
}

bool Planner::replaces(const ServiceName& service, const proto::Service& wanted) const {
  return wanted.update.strategy == proto::Strategy::replace &&
         out_.progress.rollout->before.contains(service);
}

void Planner::start_and_check() {
  const auto* target = document(rollout().target);
  if (target == nullptr)
    return fail({Errc::internal, {}, "the document is missing from the ledger", {}});
  if (rollout().trigger != Trigger::rollback) {
    switch (run_hooks(proto::HookStage::before, rollout().target, rollout().hooks_before)) {
      case HooksState::running:
        return;
      case HooksState::failed:
        return fail(*std::move(hook_failure_));
      case HooksState::done:
        break;
    }
  }
  if (!advance_cutover(*target) || !state().rollout || rollout().phase == Phase::reverting) return;
  if (!advance_replace(*target) || rollout().phase == Phase::reverting) return;
  switch_over(*target);
}

bool Planner::advance_cutover(const proto::Deployment& target) {
  bool all_started = true;
  bool all_ready = true;
  for (const auto& name : proto::dependency_order(target)) {
    const auto& wanted = target.services.at(name);
    if (!changed(name, wanted) || replaces(name, wanted) || skips(name, wanted)) continue;
    if (!rollout().fresh.contains(name)) {
      all_ready = false;
      if (!dependencies_ready(wanted)) {
        all_started = false;
        continue;
      }
      start_fresh(name, wanted);
    }
    if (!gate(name, wanted)) all_ready = false;
    if (rollout().phase == Phase::reverting) return false;
  }
  if (all_started && rollout().phase == Phase::starting) enter(Phase::checking);
  return all_ready;
}

bool Planner::advance_replace(const proto::Deployment& target) {
  for (const auto& name : proto::dependency_order(target)) {
    const auto& wanted = target.services.at(name);
    if (!changed(name, wanted) || !replaces(name, wanted) || skips(name, wanted)) continue;
    if (!rollout().fresh.contains(name)) {
      rollout().replaced.insert(name);
      if (!make_room(name)) return false;
      start_fresh(name, wanted);
    }
    if (!gate(name, wanted)) return false;
  }
  return true;
}

/// Ends what serves, and waits for what is being stopped already: two processes must not share what
/// only one may use. True when none is left.
bool Planner::make_room(const ServiceName& name) {
  const auto used = instances_in_use(state());
  const auto& old = rollout().before.at(name);
  bool room = true;
  for (const auto& [id, view] : observed_.instances) {
    if (view.seen.service != name || (id != old && used.contains(id))) continue;
    if (!has_process(view.seen.state) && !ending(id)) continue;
    room = false;
    if (has_process(view.seen.state)) stop(view, true);
  }
  return room;
}

bool Planner::dependencies_ready(const proto::Service& wanted) {
  return std::all_of(wanted.depends_on.begin(), wanted.depends_on.end(),
                     [&](const ServiceName& name) {
                       const auto* target = document(rollout().target);
                       const auto dependency = target->services.find(name);
                       if (dependency == target->services.end()) return true;
                       if (!changed(name, dependency->second) ||
                           replaces(name, dependency->second) || skips(name, dependency->second))
                         return true;
                       const auto fresh = rollout().fresh.find(name);
                       if (fresh == rollout().fresh.end()) return false;
                       const auto* view = find(fresh->second);
                       return view != nullptr && passes(name, *view, dependency->second);
                     });
}

/// Whether what is known of its health was learnt since its gate began. What an instance said
/// before it was drained and frozen, or under the rules of another document, opens no gate.
bool Planner::is_proven(const ServiceName& service, const InstanceView& view,
                        const proto::Service& wanted) const {
  const auto& gates = out_.progress.rollout->gate_since;
  const auto since = gates.find(service);
  return !wanted.health || since == gates.end() || has_completed(view, wanted) ||
         (view.health.judged >= since->second && view.health.successes > 0);
}

/// Others wait for its end: a migration is done before what needs it starts. What has a health
/// rule, or is restarted after a failure, may as well be meant to run on: others wait until it is
/// ready.
bool Planner::is_awaited(const ServiceName& service, const proto::Service& wanted) const {
  if (wanted.restart != proto::Restart::never || wanted.health) return false;
  const auto* target = document(out_.progress.rollout->target);
  return std::any_of(target->services.begin(), target->services.end(), [&](const auto& row) {
    const auto& needs = row.second.depends_on;
    return std::find(needs.begin(), needs.end(), service) != needs.end();
  });
}

/// Healthy, or for a one-shot that others wait for, ended well.
bool Planner::passes(const ServiceName& service, const InstanceView& view,
                     const proto::Service& wanted) const {
  if (is_awaited(service, wanted)) return has_completed(view, wanted);
  return is_ready(view, wanted, now_) && is_proven(service, view, wanted);
}

bool Planner::gate(const ServiceName& service, const proto::Service& wanted) {
  const auto& id = rollout().fresh.at(service);
  const auto* view = find(id);
  const bool half = view != nullptr && (view->seen.state == InstanceState::creating ||
                                        view->seen.state == InstanceState::broken);
  if (!busy(service) && (view == nullptr || half)) {
    make_fresh(service, wanted, half);
  } else if (view != nullptr && view->seen.exit && view->seen.state == InstanceState::exited &&
             !has_completed(*view, wanted)) {
    if (!revive_former(service, wanted, rollout().fresh.at(service)))
      fail(early_end(service, *view));
  } else if (view != nullptr && passes(service, *view, wanted)) {
    rollout().ready_in.try_emplace(
        service, std::chrono::duration_cast<Milliseconds>(now_ - rollout().gate_since[service]));
    return true;
  } else {
    await_gate(service, wanted, view);
  }
  return false;
}

/// `half`: an agent was killed while it made it; it goes, and another one is made.
void Planner::make_fresh(const ServiceName& service, const proto::Service& wanted, bool half) {
  auto& id = rollout().fresh.at(service);
  const auto failed = observed_.job_failures.find(service);
  // What the instance before it could not do, a restart say, is no fault of this one.
  if (failed != observed_.job_failures.end() && failed->second.generation == rollout().target) {
    const auto& job = failed->second;
    if (is_final(job)) return fail(start_failure(service, job.error));
    if (job.retry_at > now_) return wake(job.retry_at);
  }
  if (half) id = allot(service, wanted);
  act(Create{id, service, rollout().target});
}

void Planner::await_gate(const ServiceName& service, const proto::Service& wanted,
                         const InstanceView* view) {
  const BootTime deadline = rollout().gate_since[service] + wanted.update.deadline;
  if (now_ >= deadline) {
    const std::string detail = view == nullptr ? "it was not created" : view->health.detail;
    const auto* missed =
        is_awaited(service, wanted) ? "had not ended, and others wait for it," : "was not healthy";
    return fail(
        {Errc::unhealthy,
         service.str(),
         fmt::format("{} {} within {}{}{}", service.str(), missed,
                     human_duration(wanted.update.deadline), detail.empty() ? "" : ": ", detail),
         {{"probe", detail}, {"instance", rollout().fresh.at(service).str()}}});
  }
  wake(deadline);
  // Past that, what it is waited for is its end, which is an event.
  const bool settles = view != nullptr && !wanted.health &&
                       view->seen.state == InstanceState::running &&
                       view->seen.started_boot + kSettle > now_;
  if (settles) wake(view->seen.started_boot + kSettle);
}

void Planner::switch_over(const proto::Deployment& target) {
  enter(Phase::switching);
  rollout().switched = true;
  const auto* from = document(rollout().from);
  for (const auto& [name, id] : rollout().before) {
    const auto wanted = target.services.find(name);
    const bool skipped = wanted != target.services.end() && skips(name, wanted->second);
    const bool kept =
        wanted != target.services.end() && !rollout().fresh.contains(name) && !skipped;
    if (kept) continue;
    const proto::Service* old = nullptr;
    if (from != nullptr) {
      if (const auto found = from->services.find(name); found != from->services.end())
        old = &found->second;
    }
    retire(id, old);
    if (wanted == target.services.end() || skipped) state().serving.erase(name);
  }
  for (const auto& [name, id] : rollout().fresh) {
    state().serving[name] = id;
    state().restarts.erase(name);
    state().restarting.erase(name);
  }
}

void Planner::soak() {
  const auto* target = document(rollout().target);
  Milliseconds longest{0};
  for (const auto& [name, id] : rollout().fresh) {
    const auto wanted = target->services.find(name);
    if (wanted == target->services.end()) continue;
    if (rollout().trigger != Trigger::rollback)
      longest = std::max(longest, wanted->second.update.soak);
    const auto* view = find(id);
    if (completed_at(state(), name, wanted->second) || (view != nullptr && view->seen.code_pending))
      continue;
    const bool gone =
        view == nullptr || (view->seen.state == InstanceState::broken && !view->seen.exit);
    if (gone)
      return fail(
          {Errc::unhealthy,
           name.str(),
           fmt::format("{} was gone during soak, as after a restart of the host", name.str()),
           {{kGone, "yes"}, {"instance", id.str()}}});
    if (view->seen.state == InstanceState::exited || view->seen.state == InstanceState::broken) {
      const int code = view != nullptr && view->seen.exit ? view->seen.exit->code : -1;
      return fail({Errc::unhealthy,
                   name.str(),
                   fmt::format("{} exited with code {} during soak", name.str(), code),
                   {{"exit_code", std::to_string(code)}, {"instance", id.str()}}});
    }
    if (view->health.state == HealthState::unhealthy)
      return fail(
          {Errc::unhealthy,
           name.str(),
           fmt::format("{} became unhealthy during soak: {}", name.str(), view->health.detail),
           {{"probe", view->health.detail}, {"instance", id.str()}}});
  }
  auto after = HooksState::done;
  if (rollout().trigger != Trigger::rollback)
    after = run_hooks(proto::HookStage::after, rollout().target, rollout().hooks_after);
  if (after == HooksState::failed) return fail(*std::move(hook_failure_));
  const BootTime end = rollout().since + longest;
  if (now_ < end) return wake(end);
  if (after == HooksState::done) finish_good();
}

void Planner::fail(Failure failure) {
  const auto* target = document(rollout().target);
  const bool hold =
      target != nullptr && !failure.service.empty() &&
      target->services.contains(ServiceName{failure.service}) &&
      target->services.at(ServiceName{failure.service}).update.on_failure == proto::OnFailure::hold;
  const bool switched = rollout().phase == Phase::switching || rollout().phase == Phase::soaking;
  auto detail = failure.evidence;
  detail["error"] = std::string{code(failure.code)};
  note(proto::EntryKind::failed, rollout().target, failure.what, std::move(detail),
       failure.service);
  rollout().failure = std::move(failure);
  if (hold && switched) {
    out_.endings.push_back({rollout().target, Verdict::failed, rollout().failure->what});
    out_.finished = std::move(state().rollout);
    state().rollout.reset();
    return;
  }
  enter(Phase::reverting);
  revert();
}

void Planner::revert() {
  const auto* from = document(rollout().from);
  state().serving = rollout().before;
  bool back = true;
  for (const auto& [name, id] : rollout().before) {
    state().retired.erase(id);
    const auto* view = find(id);
    if (view == nullptr || from == nullptr || !from->services.contains(name)) continue;
    if (view->seen.state == InstanceState::frozen) act(Thaw{id});
    if (rollout().replaced.contains(name) && !put_back(name, *view)) back = false;
  }
  const bool routed = observed_.routing && *observed_.routing == wanted_routes(state(), observed_);
  if (back && routed) finish_failed();
}

/// The way back of a service that was stopped to be replaced. True when nothing of it is left to
/// do.
bool Planner::put_back(const ServiceName& name, const InstanceView& old) {
  if (ending(old.seen.id) || busy(name)) return false;
  if (old.seen.state != InstanceState::exited || observed_.job_failures.contains(name)) return true;
  // First what took its place ends.
  if (const auto fresh = rollout().fresh.find(name); fresh != rollout().fresh.end()) {
    const auto* view = find(fresh->second);
    if (view != nullptr && ending(fresh->second)) return false;
    if (view != nullptr &&
        (view->seen.state == InstanceState::running || view->seen.state == InstanceState::frozen)) {
      stop(*view, true);
      return false;
    }
  }
  act(RestartProcess{old.seen.id, name});
  return false;
}

void Planner::finish_good() {
  auto& r = rollout();
  note_phase("good");
  const bool back = r.trigger == Trigger::rollback;
  note(back ? proto::EntryKind::rolled_back : proto::EntryKind::good, r.target, r.reason,
       {{"seconds", seconds_text(now_ - r.started)}});
  if (back) out_.endings.push_back({r.from, Verdict::rolled_back, r.reason});
  out_.endings.push_back({r.target, Verdict::good, r.reason});
  state().good = r.target;
  state().kept.clear();
  const auto* target = document(r.target);
  std::erase_if(state().stopped, [&](const auto& row) {
    return target != nullptr && !target->services.contains(row.first);
  });
  for (const auto& [name, took] : r.ready_in) state().start_times[name] = took;
  if (back) add_post_rollback_hooks(r.from);
  out_.finished = std::move(state().rollout);
  state().rollout.reset();
}

/// What served for a while may still be answering: it drains like any other, and is then removed.
void Planner::drain_fresh() {
  const auto* target = document(rollout().target);
  if (!rollout().switched || target == nullptr) return;
  for (const auto& [name, id] : rollout().fresh) {
    const auto wanted = target->services.find(name);
    if (wanted == target->services.end() || state().kept.contains(id)) continue;
    auto rule = wanted->second;
    rule.update.standby = Milliseconds{0};
    retire(id, &rule);
  }
}

bool has_touched_host(const Rollout& rollout) {
  return !rollout.fresh.empty() || !rollout.replaced.empty() || !rollout.hooks_before.id.empty() ||
         rollout.hooks_before.done > 0;
}

void Planner::finish_failed() {
  auto& r = rollout();
  const auto& failure = *r.failure;
  const bool by_operator = failure.code == Errc::cancelled;
  note(proto::EntryKind::rolled_back, r.from, failure.what,
       {{"failed_generation", std::to_string(r.target.value())},
        {"seconds", seconds_text(now_ - r.started)}},
       failure.service);
  if (r.trigger != Trigger::rollback)
    out_.endings.push_back(
        {r.target, by_operator ? Verdict::rolled_back : Verdict::failed, failure.what});
  // What may work later (a registry that is away, a host that was restarted) is not the document's
  // fault.
  if (r.trigger != Trigger::rollback && !failure.evidence.contains(kGone) && !failure.passing &&
      (by_operator || disposition(failure.code) == Disposition::reject))
    out_.quarantine = r.target;
  if (r.trigger != Trigger::rollback && has_touched_host(r)) add_post_rollback_hooks(r.target);
  drain_fresh();
  state().current = r.from;
  out_.finished = std::move(state().rollout);
  state().rollout.reset();
}

}  // namespace holdfast::deploy::plan
