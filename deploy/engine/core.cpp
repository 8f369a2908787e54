#include "deploy/engine/core.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/log/log.hpp"
#include "deploy/engine/state/decision_record.hpp"
#include "deploy/engine/state/stale_ledger.hpp"

namespace holdfast::deploy::engine {

Core::Core(Ports ports, Options options, Jobs& jobs)
    : parts_(ports, std::move(options), jobs),
      pulls_(parts_),
      probes_(parts_),
      drains_(parts_),
      drift_(parts_),
      endings_(parts_),
      backups_(parts_),
      actions_(parts_, {pulls_, probes_, drains_, drift_, endings_}),
      commands_(parts_, [this] { return snapshots_.services(); }),
      retention_(parts_, commands_.rollbacks),
      observation_(parts_, {pulls_, probes_, drains_, drift_, endings_, commands_.standby}),
      snapshots_(parts_, {drift_, commands_.rollbacks, backups_}) {}

Status Core::load() {
  HF_TRY(parts_.generations.load());
  HF_ASSIGN(const auto quarantined, parts_.ports.ledger.quarantine());
  for (const auto& row : quarantined) parts_.quarantine.put(row);
  auto& journal = parts_.journal;
  HF_TRY(journal.load());
  retention_.forget_old_generations();
  read_documents();
  if (auto reserved = reserve_ports(parts_, nullptr); !reserved)
    log::error("event=port_lost error={}", log::field(reserved.error().to_string()));
  // A ledger that takes nothing changes nothing of what runs: the agent comes up degraded.
  (void)journal.commit(
      {.entries = {journal.entry(proto::EntryKind::agent_started, "agent",
                                 "version " HOLDFAST_VERSION, journal.progress().current)}});
  commands_.rollbacks.resume_intent();
  commands_.shutdown.resume();
  return ok();
}

/// Those that the first pass and a rollback need: nothing waits for a job then.
void Core::read_documents() {
  const auto target = commands_.rollbacks.target(0);
  for (const auto id : retained(parts_, target ? std::optional{*target} : std::nullopt))
    parts_.generations.read_document(id);
}

BootTime Core::reconcile(Freshness freshness) {
  const auto& clock = parts_.ports.clock;
  const BootTime began = clock.boot();
  if (began >= next_resync_) {
    freshness = Freshness::fresh;
    resync();
  }
  if (parts_.journal.resolve_in_doubt()) forget_failures(parts_.observed);
  commands_.shutdown.expire();
  const bool goes_down = parts_.observed.shutdown.has_value();
  if (ready_ && !goes_down) commands_.rehearsals.begin_due();
  if (parts_.evidence.expire()) parts_.attention.mark_changed();
  if (drift_.expire()) parts_.attention.mark_changed();
  if (parts_.attention.take_changed()) freshness = Freshness::fresh;
  BootTime wake = next_resync_;
  bool acted = freshness == Freshness::fresh;
  constexpr int kMaxPasses = 16;
  for (int pass = 0; pass < kMaxPasses; ++pass) {
    const bool again = observe_and_settle(freshness, wake);
    acted = acted || again;
    if (!again && wake > clock.boot()) break;
    acted = true;
    freshness = Freshness::fresh;
  }
  parts_.journal.flush_deferred();
  ready_ = true;
  if (acted) {
    ++parts_.counters.reconciles;
    parts_.counters.reconcile_seconds.observe(
        std::chrono::duration<double>(clock.boot() - began).count());
    commands_.rollbacks.refresh_if_changed();
    snapshots_.make(ready_);
  }
  return std::min({parts_.journal.wake_at(wake), parts_.evidence.wake_at(), drift_.wake_at()});
}

/// Once around: true when something was done at once, so that another look is due. `wake`: when the
/// next is due otherwise.
bool Core::observe_and_settle(Freshness freshness, BootTime& wake) {
  observation_.observe(freshness);
  if (!ready_ && plan::is_just_booted(parts_.observed)) snapshots_.count_from_boot();
  if (!ready_) retention_.retain_images();  // what runs from an earlier life too
  const bool goes_down = parts_.observed.shutdown.has_value();
  if (freshness == Freshness::fresh && !goes_down) drift_.note(settings());
  auto decision = plan::decide(parts_.journal.progress(), parts_.observed, settings(),
                               parts_.ports.clock.boot());
  wake = commands_.holds.expire(std::min(decision.wake_at.value_or(next_resync_), next_resync_));
  return settle(std::move(decision));
}

void Core::resync() {
  next_resync_ = parts_.ports.clock.boot() + parts_.options.config.resync;
  parts_.attention.deepen(runtime::InspectionDepth::sampled);
  pulls_.look_again();
  parts_.journal.retry();
  parts_.generations.retry_unreadable();
  backups_.make_when_due();
  retention_.forget_old_generations();
  commands_.rollbacks.refresh();
  retention_.retain_images();
  look_at_disk();
  if (!parts_.options.housekeeping) return;
  parts_.jobs.run(Jobs::Pool::change, [work = parts_.options.housekeeping](const std::stop_token&) {
    work();
    return std::function<void()>{};
  });
}

void Core::look_at_disk() {
  if (!parts_.options.disk_space) return;
  parts_.jobs.run(Jobs::Pool::change,
                  [this, look = parts_.options.disk_space](const std::stop_token&) {
                    const auto seen = look();
                    std::function<void()> done;
                    if (!seen) return done;
                    done = [this, space = *seen] {
                      if (std::exchange(parts_.disk, space) != space)
                        parts_.attention.mark_changed();
                    };
                    return done;
                  });
}

plan::Settings Core::settings() const {
  const auto& config = parts_.options.config;
  return {config.service_subnet, config.drift, config.image_policy};
}

bool Core::at_rest() const {
  const auto& progress = parts_.journal.progress();
  return !progress.rollout && !progress.rehearsal;
}

/// Records the decision, then starts its actions. True when something was done at once, so that
/// another look is due.
bool Core::settle(plan::Decision decision) {
  if (parts_.observed.shutdown) {
    end_everything(decision);
    return false;
  }
  if (awaits_evidence(decision)) return false;
  const auto before = parts_.journal.progress();
  bool acted = start_unjournaled(decision);
  if (!parts_.journal.record(decision, record_of(parts_, decision)))
    return keep_serving(decision) || acted;
  const auto& progress = parts_.journal.progress();
  count_notes(parts_.counters, decision);
  if (before.rehearsal && !progress.rehearsal) commands_.rehearsals.announce();
  if (!plan::is_waiting(before) && plan::is_waiting(progress)) commands_.announcer.wait();
  acted = acted || !decision.notes.empty();
  for (const auto& action : decision.actions) acted = actions_.start(action) || acted;
  actions_.publish_hosts();
  if (decision.finished) finish(*decision.finished);
  return acted;
}

/// A rollback that an operator asked for is under way, and stays so.
bool Core::goes_back(const plan::Decision& decision) const {
  const auto& now = parts_.journal.progress().rollout;
  const auto& next = decision.progress.rollout;
  return now && now->trigger == plan::Trigger::rollback && next && next->target == now->target;
}

/// The decision is made again when what proves it has been read. A rollback on its way waits for
/// nobody's output.
bool Core::awaits_evidence(const plan::Decision& decision) {
  if (goes_back(decision) && !decision.progress.rollout->failure) return false;
  bool awaits = false;
  for (const auto& id : needs_evidence_of(decision)) awaits = !parts_.evidence.is_in(id) || awaits;
  return awaits;
}

/// Starts and takes out what does not wait for the disk, and takes out what a ledger that may be
/// older than what runs forbids. Thawing and probing leave nothing that a record would have to
/// tell, and the switch of a rollback was recorded as the request for it: after a kill in between,
/// the recorded rollback goes on, and switches again.
bool Core::start_unjournaled(plan::Decision& decision) {
  const auto& progress = parts_.journal.progress();
  const bool going_back = goes_back(decision);
  if (parts_.journal.stale())
    restrain(decision.actions, progress, parts_.observed, parts_.journal.unjournaled());
  bool acted = false;
  std::erase_if(decision.actions, [&](const plan::Action& action) {
    const bool at_once = std::holds_alternative<plan::Thaw>(action) ||
                         std::holds_alternative<plan::ProbeNow>(action) ||
                         (going_back && std::holds_alternative<plan::Route>(action));
    if (at_once) acted = actions_.start(action) || acted;
    if (const auto* thaw = std::get_if<plan::Thaw>(&action))
      actions_.probe_thawed(*thaw, decision.progress);
    return at_once;
  });
  return acted;
}

/// One entry says that the host goes down; no stop waits for a record, nor for a ledger that takes
/// none.
void Core::end_everything(const plan::Decision& decision) {
  for (const auto& action : decision.actions) (void)actions_.start(action);
}

/// The ledger takes nothing: what runs is kept running by actions that need no record; the state
/// stays as recorded.
bool Core::keep_serving(const plan::Decision& decision) {
  bool acted = false;
  for (const auto& action : decision.actions) {
    const auto* restart = std::get_if<plan::RestartProcess>(&action);
    if (restart != nullptr) ++parts_.counters.workloads[restart->service.str()].restarts;
    if (restart != nullptr || std::holds_alternative<plan::Route>(action))
      acted = actions_.start(action) || acted;
  }
  return acted;
}

namespace {

/// Whether the host went back to an earlier generation with a rollout that ended. One that failed
/// did not where it touched nothing, where nothing ran before it, and where `on_failure: hold`
/// leaves what failed after the switch.
bool has_gone_back(const plan::Rollout& rollout) {
  if (rollout.trigger == plan::Trigger::rollback) return !rollout.failure;
  return rollout.failure && rollout.phase == plan::Phase::reverting && rollout.from.value() != 0 &&
         plan::has_touched_host(rollout);
}

}  // namespace

void Core::finish(const plan::Rollout& rollout) {
  auto& counters = parts_.counters;
  parts_.milestones.last_change = epoch_seconds(parts_.ports.clock.wall());
  const bool is_rollback = rollout.trigger == plan::Trigger::rollback;
  if (has_gone_back(rollout)) {
    const bool by_operator =
        is_rollback || (rollout.failure && rollout.failure->code == Errc::cancelled);
    const auto* trigger = by_operator ? "operator" : "automatic";
    ++counters.rollbacks[trigger];
    counters.last_rollback[trigger] = parts_.milestones.last_change;
  } else if (is_rollback && rollout.phase == plan::Phase::reverting) {
    ++counters.rollouts["failed"];  // the result of no generation says so
  }
  if (rollout.failure) ++counters.errors[std::string{code(rollout.failure->code)}];
  for (const auto& [name, id] : rollout.fresh) parts_.observed.job_failures.erase(name);
  if (auto reserved = reserve_ports(parts_, nullptr); !reserved)
    log::warn("event=port_lost error={}", log::field(reserved.error().to_string()));
  commands_.rollbacks.refresh();
  snapshots_.make(ready_);
  commands_.announcer.result(rollout);
  retention_.collect();
  backups_.make();
}

void Core::images_changed(const std::string& collected, const Actor& actor) {
  commands_.rollbacks.refresh();
  retention_.images_changed(collected, actor);
}

void Core::suspended(BootClock::duration pause) {
  constexpr std::chrono::seconds kGrace{1};
  log::warn("event=agent_was_suspended seconds={:.1f}",
            std::chrono::duration<double>(pause).count());
  parts_.journal.shift(pause);
  probes_.forgive_until(parts_.ports.clock.boot() + kGrace);
  parts_.attention.mark_changed();
}

void Core::reconfigure(proto::LiveSettings settings) {
  parts_.options.config.change(std::move(settings));
  parts_.attention.mark_changed();
}

}  // namespace holdfast::deploy::engine
