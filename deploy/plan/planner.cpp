#include "deploy/plan/planner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "deploy/plan/model/service_addresses.hpp"

namespace holdfast::deploy::plan {

Decision decide(const Progress& progress, const Observed& observed, const Settings& settings,
                BootTime now) {
  return Planner{progress, observed, settings, now}.run();
}

Decision Planner::run() {
  if (observed_.shutdown) {
    end_everything();
    return std::move(out_);
  }
  const Progress before = state();
  state().shutdown.reset();  // of an earlier life of the host, or called off
  assign_addresses();
  end_hold();
  end_stops();
  note_completed();
  if (state().rollout) step_rollout();
  step_post_rollback_hooks();
  step_rehearsal();
  keep_running();
  drop_standby_when_short();
  step_retired();
  hold_for_drift();
  give_up_unneeded(before);
  remove_orphans();
  schedule_probes();
  route();
  return std::move(out_);
}

const proto::Deployment* Planner::document(GenerationId id) const {
  const auto found = observed_.documents.find(id);
  return found == observed_.documents.end() ? nullptr : found->second.get();
}

const InstanceView* Planner::find(const InstanceId& id) const {
  const auto found = observed_.instances.find(id);
  return found == observed_.instances.end() ? nullptr : &found->second;
}

void Planner::note(proto::EntryKind kind, GenerationId generation, std::string reason,
                   std::map<std::string, std::string> detail, std::string service) {
  out_.notes.push_back(
      {kind, generation, std::move(service), std::move(reason), std::move(detail), {}});
}

/// Notes the end of the phase under way, and what comes then.
void Planner::note_phase(std::string_view next) {
  const auto& r = rollout();
  const auto took = now_ - r.since;
  note(proto::EntryKind::phase, r.target, std::string{next},
       {{"from", std::string{to_string(r.phase)}},
        {"seconds", fmt::format("{:.3f}", std::chrono::duration<double>(took).count())}});
  out_.notes.back().ended_phase = {r.phase, std::chrono::duration_cast<Milliseconds>(took)};
}

void Planner::wake(BootTime at) {
  if (!out_.wake_at || at < *out_.wake_at) out_.wake_at = at;
}

void Planner::wake(WallTime at) {
  const auto left = std::chrono::ceil<Milliseconds>(at - observed_.wall);
  wake(now_ + std::min(left, kLongestByWall));
}

void Planner::assign_addresses() {
  std::set<ServiceName> names;
  for (const auto& id :
       {state().current, state().rollout ? state().rollout->from : GenerationId{}}) {
    if (const auto* known = document(id)) {
      for (const auto& [name, service] : known->services) names.insert(name);
    }
  }
  state().addresses = plan::service_addresses(state().addresses, names, settings_.service_subnet);
}

InstanceId Planner::allot(const ServiceName& service, const proto::Service& wanted) {
  return make_instance_id(service, wanted.run_hash, state().next_sequence++);
}

void Planner::retire(const InstanceId& id, const proto::Service* service) {
  Retired retired{.since = now_};
  if (service != nullptr) {
    retired.drain = service->update.drain;
    retired.keep = service->update.standby;
    retired.stop = service->stop;
  }
  state().retired.try_emplace(id, retired);
}

namespace {
constexpr Milliseconds kFreezeTakesAtMost{5'000};
}

void Planner::step_retired() {
  for (auto it = state().retired.begin(); it != state().retired.end();) {
    auto& [id, retired] = *it;
    const auto* view = find(id);
    const auto age = now_ - retired.since;
    const bool lives = view != nullptr && (view->seen.state == InstanceState::running ||
                                           view->seen.state == InstanceState::frozen);
    // Its connections are reset before it is frozen, and so before it may be stopped: else its end
    // would look like the end of what it sends.
    const bool cut =
        lives && (view->seen.state == InstanceState::frozen || age >= kFreezeTakesAtMost);
    // The rollout under way may start its process again.
    if (state().rollout && view != nullptr && view->seen.state == InstanceState::exited) {
      ++it;
      continue;
    }
    if (!lives || (retired.standby && age >= retired.keep && cut)) {
      // What cannot be thawed any more is no standby: remove_orphans takes it from here.
      it = state().retired.erase(it);
      continue;
    }
    const auto open = observed_.connections.find(id);
    const bool quiet = open != observed_.connections.end() && open->second == 0;
    if (!retired.standby && (quiet || age >= retired.drain)) {
      retired.standby = true;
      retired.since = now_;
    }
    if (retired.standby && view->seen.state == InstanceState::running && !is_routed_to(*view))
      act(Freeze{id, view->seen.address});
    if (retired.standby) {
      wake(retired.since + (cut ? retired.keep : std::max(retired.keep, kFreezeTakesAtMost)));
    } else {
      wake(std::min<BootTime>(retired.since + retired.drain, age < kFirstCount
                                                                 ? retired.since + kFirstCount
                                                                 : now_ + Milliseconds{200}));
    }
    ++it;
  }
  if (!state().rollout) bound_standby();
}

/// Of each service those that were frozen last stay: who applies twenty documents in a quarter of
/// an hour keeps the ways back, not twenty copies in memory.
void Planner::bound_standby() {
  std::map<ServiceName, std::vector<std::pair<BootTime, InstanceId>>> frozen;
  for (const auto& [id, retired] : state().retired) {
    const auto* view = find(id);
    if (retired.standby && view != nullptr && view->seen.state == InstanceState::frozen)
      frozen[view->seen.service].emplace_back(retired.since, id);
  }
  for (auto& [service, all] : frozen) {
    std::sort(all.begin(), all.end(), std::greater<>{});
    for (std::size_t i = kMostStandby; i < all.size(); ++i) {
      const auto gone = state().retired.extract(all[i].second);
      state().released.emplace(gone.key(), gone.mapped().stop);
    }
  }
}

/// Frozen instances cost memory that what serves needs more.
void Planner::drop_standby_when_short() {
  if (observed_.memory_short.empty()) return;
  auto [next, dropped] = drop_standby(state());
  if (dropped.empty()) return;
  std::map<std::string, std::string> detail;
  for (const auto& id : dropped) detail.emplace(id.str(), "frozen");
  note(proto::EntryKind::standby_dropped, state().current, observed_.memory_short,
       std::move(detail));
  out_.progress = std::move(next);
}

std::pair<Progress, std::vector<InstanceId>> drop_standby(const Progress& progress) {
  std::pair<Progress, std::vector<InstanceId>> result{progress, {}};
  std::erase_if(result.first.retired, [&](const auto& row) {
    if (!row.second.standby) return false;
    result.second.push_back(row.first);
    result.first.released.emplace(row.first, row.second.stop);
    return true;
  });
  return result;
}

GenerationId serving_generation(const Progress& progress) {
  if (!progress.rollout) return progress.current;
  const auto phase = progress.rollout->phase;
  const bool switched = phase == Phase::switching || phase == Phase::soaking;
  return switched ? progress.current : progress.rollout->from;
}

bool Observed::is_changing(const ServiceName& service, const Progress& progress) const {
  const auto serving = progress.serving.find(service);
  return busy.contains(service) ||
         (serving != progress.serving.end() && ending.contains(serving->second));
}

std::set<InstanceId> instances_in_use(const Progress& progress) {
  std::set<InstanceId> ids = progress.kept;
  for (const auto& [service, id] : progress.serving) ids.insert(id);
  for (const auto& [id, retired] : progress.retired) ids.insert(id);
  for (const auto& each : progress.post_rollback_hooks) ids.insert(each.hooks.id);
  if (progress.rehearsal) {
    for (const auto& [service, id] : progress.rehearsal->instances) ids.insert(id);
  }
  if (!progress.rollout) return ids;
  for (const auto& [service, id] : progress.rollout->fresh) ids.insert(id);
  for (const auto& [service, id] : progress.rollout->before) ids.insert(id);
  ids.insert(progress.rollout->hooks_before.id);
  ids.insert(progress.rollout->hooks_after.id);
  return ids;
}

/// What was needed and is no more goes without being drift; forgotten once it is gone and something
/// else changes, as that alone is not worth a record. While jobs run it may be about to come.
void Planner::give_up_unneeded(const Progress& before) {
  const auto gone = [&](const InstanceId& id) {
    return observed_.busy.empty() && !observed_.instances.contains(id);
  };
  const auto now = instances_in_use(state());
  auto& known = state().released;
  std::map<InstanceId, proto::StopRule> dropped;
  for (const auto& id : instances_in_use(before)) {
    if (!now.contains(id) && !gone(id) && !known.contains(id))
      dropped.emplace(id, stop_rule(before, id));
  }
  if (dropped.empty()) return;
  std::erase_if(known, [&](const auto& row) { return gone(row.first); });
  known.merge(dropped);
}

/// What the document says that the instance belongs to or belonged to, whatever came since.
proto::StopRule Planner::stop_rule(const Progress& under, const InstanceId& id) const {
  if (const auto released = under.released.find(id); released != under.released.end())
    return released->second;
  if (const auto retired = under.retired.find(id); retired != under.retired.end())
    return retired->second.stop;
  const auto* view = find(id);
  if (view == nullptr) return {};
  const auto& name = view->seen.service;
  const auto is = [&](const std::map<ServiceName, InstanceId>& role) {
    const auto found = role.find(name);
    return found != role.end() && found->second == id;
  };
  GenerationId last{view->seen.generation};
  if (is(under.serving)) last = serving_generation(under);
  if (under.rollout && is(under.rollout->before)) last = under.rollout->from;
  if (under.rollout && is(under.rollout->fresh)) last = under.rollout->target;
  for (const auto generation : {last, GenerationId{view->seen.generation}}) {
    const auto* known = document(generation);
    const auto* wanted = known == nullptr ? nullptr : proto::container(*known, name);
    if (wanted != nullptr) return wanted->stop;
  }
  return {.signal = {}, .timeout = view->seen.stop_timeout};
}

bool Planner::may_end(const InstanceId& id) {
  if (ending(id)) return false;
  const auto failed = observed_.end_failures.find(id);
  if (failed == observed_.end_failures.end() || failed->second.retry_at <= now_) return true;
  wake(failed->second.retry_at);
  return false;
}

void Planner::stop(const InstanceView& view, bool awaited) {
  const auto& id = view.seen.id;
  if (may_end(id)) act(Stop{id, view.seen.service, stop_rule(state(), id), awaited});
}

/// The table may be ahead of what is recorded, when an agent was killed between the two: first the
/// traffic moves, and what it leaves ends in a later turn.
bool Planner::is_routed_to(const InstanceView& view) const {
  if (!observed_.routing || view.seen.state != InstanceState::running) return false;
  const auto& table = *observed_.routing;
  const auto here = view.seen.address;
  return std::any_of(table.ports.begin(), table.ports.end(),
                     [&](const auto& entry) { return entry.second.address == here; }) ||
         std::any_of(table.services.begin(), table.services.end(),
                     [&](const auto& entry) { return entry.second == here; });
}

void Planner::remove_orphans() {
  const auto needed = instances_in_use(state());
  const bool strangers = repairs(proto::DriftKind::orphan);
  for (const auto& [id, view] : observed_.instances) {
    if (needed.contains(id) || is_routed_to(view)) continue;
    const auto changing = observed_.busy.find(view.seen.service);
    if (changing != observed_.busy.end() && changing->second == id) continue;
    if (!strangers && !state().released.contains(id)) continue;
    // What rehearsed holds nothing that a clean end would save, and a rollback may be waiting.
    const bool lives =
        !is_rehearsal(view.seen.service) &&
        (view.seen.state == InstanceState::running || view.seen.state == InstanceState::frozen ||
         view.seen.state == InstanceState::unsupervised);
    if (lives) {
      stop(view, false);
    } else if (may_end(id)) {
      act(Remove{id, view.seen.service});
    }
  }
}

void Planner::schedule_probes() {
  // Before the switch what serves is judged by the rules of its own document.
  const auto rules = serving_generation(state());
  if (const auto* known = document(rules)) {
    for (const auto& [service, wanted] : known->services) {
      const auto found = state().serving.find(service);
      if (found != state().serving.end() && !state().stopped.contains(service))
        probe_due(service, found->second, rules);
    }
  }
  if (state().rehearsal) {
    const auto& r = *state().rehearsal;
    for (const auto& [service, id] : r.instances) probe_due(rehearsal_name(service), id, r.target);
  }
  if (!state().rollout) return;
  for (const auto& [service, id] : rollout().fresh) probe_due(service, id, rollout().target);
}

namespace {

/// Until it is healthy it is asked more often, so that the gate opens soon: after a quarter of the
/// time that it has been running.
Milliseconds eager_interval(const proto::HealthRule& rule, const InstanceView& view) {
  constexpr Milliseconds kShortest{10};
  constexpr Milliseconds kShortestExec{100};  // each starts a process
  constexpr Milliseconds kLongest{250};
  const auto shortest =
      std::holds_alternative<proto::ExecProbe>(rule.probe) ? kShortestExec : kShortest;
  const auto running =
      std::chrono::duration_cast<Milliseconds>(view.health.last_probe - view.seen.started_boot);
  return std::min(rule.interval, std::clamp(running / 4, shortest, kLongest));
}

}  // namespace

void Planner::probe_due(const ServiceName& service, const InstanceId& id, GenerationId generation) {
  const auto* view = find(id);
  const auto* known = document(generation);
  if (view == nullptr || known == nullptr || view->seen.state != InstanceState::running) return;
  const auto wanted = wanted_container(*known, service);
  if (!wanted || !wanted->health) return;
  if (view->health.in_flight) {  // an answer that changes nothing wakes nobody
    if (const auto next = view->health.last_probe + wanted->health->interval; next > now_)
      wake(next);
    return;
  }
  for (const auto& action : out_.actions) {
    if (const auto* probe = std::get_if<ProbeNow>(&action); probe != nullptr && probe->id == id)
      return;
  }
  constexpr Milliseconds kMostEarly{500};
  const auto& rule = *wanted->health;
  // What passes a gate is asked at once, whatever it said before.
  const bool at_gate = state().rollout && rollout().fresh.contains(service) &&
                       rollout().fresh.at(service) == id && !is_proven(service, *view, *wanted);
  const bool healthy = view->health.state == HealthState::healthy && !at_gate;
  const auto interval = healthy || (view->health.state == HealthState::unhealthy && !at_gate)
                            ? rule.interval
                            : eager_interval(rule, *view);
  // Healthy ones go along with one that is due, so that probes gather and an idle agent wakes
  // seldom.
  const auto early = healthy ? std::min(rule.interval / 10, kMostEarly) : Milliseconds{0};
  const BootTime due = view->health.starts == view->seen.starts &&
                               view->health.last_probe != BootTime{} &&
                               !(at_gate && view->health.last_probe < rollout().gate_since[service])
                           ? view->health.last_probe + interval
                           : now_;
  if (due <= now_ + early) {
    act(ProbeNow{id, service, generation});
  } else {
    wake(due);
  }
}

/// An earlier life of the agent led traffic to the target of the rollback under way, without a
/// record: until this one has come as far, that is where it stays.
bool Planner::is_led_already() const {
  const auto& routing = observed_.routing;
  const auto& under_way = out_.progress.rollout;
  return observed_.rollback_led && routing && !routing->ports.empty() && under_way &&
         under_way->trigger == Trigger::rollback && under_way->phase < Phase::switching;
}

void Planner::route() {
  if (is_led_already()) return;
  auto wanted = wanted_routes(state(), observed_);
  if (observed_.routing && *observed_.routing == wanted) return;
  // Others altered what we want as we left it.
  const bool altered = observed_.applied && *observed_.applied == wanted;
  if (altered && !repairs(proto::DriftKind::publish)) return;
  act(Route{std::move(wanted)});
}

bool is_ready(const InstanceView& view, const proto::Service& wanted, BootTime now) {
  if (has_completed(view, wanted)) return true;
  if (view.seen.state != InstanceState::running) return false;
  if (!wanted.health) return now - view.seen.started_boot >= kSettle;
  return view.health.state == HealthState::healthy && view.health.starts == view.seen.starts;
}

}  // namespace holdfast::deploy::plan
