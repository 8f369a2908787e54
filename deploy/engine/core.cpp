#include "deploy/engine/core.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/text.hpp"
#include "common/log/log.hpp"

namespace holdfast::deploy::engine {

Core::Core(Ports ports, Engine::Options options, Jobs& jobs)
    : ports_(ports),
      options_(std::move(options)),
      jobs_(jobs),
      since_(ports.clock.wall()),
      began_(ports.clock.boot()) {
  for (const auto name : proto::drift_kind_names()) {
    const std::string kind{name};
    figures_.drift_detected[kind] = figures_.drift_repaired[kind] = figures_.drift_now[kind] = 0;
  }
  for (const auto* result : {"good", "failed", "rolled_back", "superseded"})
    figures_.rollouts[result] = 0;
  for (const auto* trigger : {"operator", "automatic"}) figures_.rollbacks[trigger] = 0;
  for (const auto* cause : {"hold", "window"}) figures_.waiting[cause] = 0;
  for (const auto* cause : {"memory", "operator"}) figures_.standby_dropped[cause] = 0;
  for (const auto* stage : {"before", "after", "on_rollback"}) {
    for (const auto* result : {"success", "failure"}) figures_.hooks[{stage, result}] = 0;
  }
  for (const auto* result : {"success", "error"}) figures_.pulls[result] = 0;
  for (const auto* phase :
       {"staging", "starting", "checking", "switching", "soaking", "reverting", "waiting"})
    figures_.phase_seconds.try_emplace(
        phase, Histogram{{.005, .01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}});
  for (std::size_t i = 0; i < kErrcCount; ++i)
    figures_.errors[std::string{code(static_cast<Errc>(i))}] = 0;
}

Status Core::load() {
  HF_ASSIGN(generations_, ports_.ledger.generations());
  HF_ASSIGN(const auto quarantined, ports_.ledger.quarantine());
  for (const auto& row : quarantined) put_quarantine(row);
  HF_ASSIGN(const auto text, ports_.ledger.progress());
  if (text) {
    HF_ASSIGN(progress_, plan::decode_progress(*text, ports_.clock.boot()));
    recorded_progress_ = *text;
  }
  forget_old_generations();
  HF_ASSIGN(head_, ports_.ledger.head());
  figures_.good_generation = progress_.good.value();
  if (auto reserved = reserve_for(nullptr); !reserved)
    log::error("event=port_lost error={}", log::field(reserved.error().to_string()));
  // A ledger that takes nothing changes nothing of what runs: the agent comes up degraded.
  (void)commit({.entries = {entry(proto::EntryKind::agent_started, "agent",
                                  "version " HOLDFAST_VERSION, progress_.current)}});
  take_up_intent();
  return ok();
}

BootTime Core::turn(bool fresh) {
  const BootTime began = ports_.clock.boot();
  if (began >= next_resync_) {
    fresh = true;
    look_ = std::max(look_, runtime::Look::thorough);
    next_resync_ = began + options_.config.resync;
    // What is whole is looked at again; a pull that runs, or waits for its next try, keeps its
    // state.
    std::erase_if(observed_.images, [&](const auto& row) {
      return row.second.state == plan::ImageView::State::present ||
             (row.second.state == plan::ImageView::State::missing &&
              row.second.retry_at == BootTime{});
    });
    try_ledger();
    back_up_when_due();
    refresh_rollback();
    retain_images();
    if (options_.housekeeping) {
      jobs_.run(Jobs::Pool::change, [work = options_.housekeeping](const std::stop_token&) {
        work();
        return std::function<void()>{};
      });
    }
  }
  settle_doubt();
  begin_due_rehearsal();
  fresh = fresh || changed_;
  changed_ = false;
  BootTime wake = next_resync_;
  bool acted = fresh;
  constexpr int kMaxPasses = 16;
  for (int pass = 0; pass < kMaxPasses; ++pass) {
    observe(fresh || pass > 0);
    if (fresh || pass > 0) note_drift();
    auto decision = plan::decide(progress_, observed_, settings(), ports_.clock.boot());
    wake = expire_quarantine(std::min(decision.wake_at.value_or(next_resync_), next_resync_));
    const bool again = settle(std::move(decision));
    acted = acted || again;
    if (!again && wake > ports_.clock.boot()) break;
    acted = true;
  }
  if (put_off_ && !unrecorded_ && put_off_->until <= ports_.clock.boot() && !commit({}))
    unrecorded_ = true;  // it is on its way to the switch of a rollback
  if (put_off_ && !unrecorded_) wake = std::min(wake, put_off_->until);
  constexpr Milliseconds kDoubtLook{200};
  if (ports_.ledger.in_doubt()) wake = std::min(wake, ports_.clock.boot() + kDoubtLook);
  ready_ = true;
  if (acted) {
    ++figures_.reconciles;
    figures_.reconcile_seconds.observe(
        std::chrono::duration<double>(ports_.clock.boot() - began).count());
    build_snapshot();
  }
  return wake;
}

void Core::observe(bool fresh) {
  observed_.wall = ports_.clock.wall();
  observed_.documents.clear();
  for (const auto id : generations_in_use()) {
    if (auto known = document(id)) observed_.documents.emplace(id, std::move(known));
  }
  forget_job_failures();
  observe_memory();
  if (fresh) {
    observe_instances();
    auto routing = ports_.publisher.observe();
    if (routing) {
      observed_.routing = std::move(routing).value();
    } else {
      observed_.routing.reset();
    }
    watch_routes();
  } else {
    for (auto& [id, view] : observed_.instances) view.health = health_[id];
  }
  if (!ready_) retain_images();  // what runs from an earlier life too
  observe_images();
  observe_connections();
}

void Core::observe_instances() {
  auto seen = ports_.instances.observe(std::exchange(look_, runtime::Look::quick));
  if (!seen) {
    log::warn("event=observe_failed error={}", log::field(seen.error().to_string()));
    count(seen.error());
    return;
  }
  auto former = std::exchange(observed_.instances, {});
  for (auto& instance : *seen) {
    auto& health = health_[instance.id];
    if (health.starts != instance.starts) {
      const bool in_flight = health.in_flight;
      health = {};
      health.starts = instance.starts;
      health.in_flight = in_flight;
    }
    const auto before = former.find(instance.id);
    const bool ended =
        instance.exit && (before == former.end() || before->second.seen.exit != instance.exit);
    if (ended) {
      auto& figures = figures_.workloads[instance.service.str()];
      figures.last_exit_code = instance.exit->code;
      log::info("event=instance_exited service={} instance={} code={} oom={}",
                instance.service.str(), instance.id.str(), instance.exit->code, instance.exit->oom);
    }
    count_oom(instance, before == former.end() ? nullptr : &before->second.seen);
    const auto id = instance.id;
    observed_.instances.emplace(id, plan::InstanceView{std::move(instance), health});
  }
  const auto gone = [&](const auto& row) { return !observed_.instances.contains(row.first); };
  std::erase_if(health_, gone);
  std::erase_if(observed_.end_failures, gone);
}

/// Its control group counts those of processes that the service outlived; of one that ended with
/// its group, the exit tells.
void Core::count_oom(const plan::ObservedInstance& now, const plan::ObservedInstance* before) {
  std::uint64_t more = 0;
  if (before != nullptr && now.starts == before->starts && now.oom_kills > before->oom_kills)
    more = now.oom_kills - before->oom_kills;
  const bool ended = now.exit && now.exit->oom && (before == nullptr || before->exit != now.exit);
  if (more == 0 && !ended) return;
  figures_.workloads[now.service.str()].oom_kills += std::max<std::uint64_t>(more, ended ? 1 : 0);
  log::warn("event=out_of_memory service={} instance={} ended={}", now.service.str(), now.id.str(),
            ended);
}

void Core::observe_images() {
  for (const auto& [id, known] : observed_.documents) {
    for (const auto& [name, service] : proto::containers(*known)) {
      const auto& digest = service->image.digest;
      if (observed_.images.contains(digest)) continue;
      plan::ImageView view;
      if (auto found = ports_.images.find(digest)) {
        view.state = plan::ImageView::State::present;
        view.manifest = found->manifest;
      } else if (found.error().code() == Errc::layer_corrupt) {
        view.error = found.error();
      }
      if (view.state == plan::ImageView::State::missing) view.retry_at = pull_not_before(digest);
      observed_.images.emplace(digest, std::move(view));
    }
  }
}

void Core::count(const Error& error) {
  ++figures_.errors[std::string{code(error.code())}];
  if (error.code() == Errc::digest_mismatch || error.code() == Errc::diffid_mismatch ||
      error.code() == Errc::size_mismatch)
    ++figures_.verification_failures;
}

Status Core::commit(ledger::Batch batch) {
  if (!ledger_ok_) return Error{ledger_code_, ledger_fault_}.hint(ledger_next_);
  std::size_t published = 0;
  if (put_off_) {
    published = put_off_->published ? put_off_->batch.entries.size() : 0;
    auto whole = put_off_->batch;
    whole.append(std::move(batch));
    batch = std::move(whole);
  }
  auto head = ports_.ledger.commit(batch);
  if (!head) {
    auto error = refused_by_ledger(head.error());
    if (!ports_.ledger.in_doubt()) return std::move(error).hint(ledger_next_);
    return std::move(error).hint(ledger_next_ +
                                 ", and may then find this change recorded (holdfast history)");
  }
  put_off_.reset();
  taken_by_ledger(batch, *head, published);
  return ok();
}

Error Core::refused_by_ledger(const Error& error) {
  count(error);
  ledger_ok_ = false;
  changed_ = true;  // whoever asks next is told
  ledger_code_ = error.code();
  const bool damaged =
      ledger_code_ == Errc::ledger_corrupt || ledger_code_ == Errc::ledger_truncated;
  ledger_fault_ = (damaged ? "the ledger is damaged, changes are refused: "
                           : "the ledger cannot be written: ") +
                  error.what();
  ledger_next_ =
      damaged ? "holdfast ledger recover; what runs keeps running"
      : ports_.ledger.in_doubt()
          ? "see what the disk of the state directory is busy with; the agent goes on by itself"
      : ledger_code_ == Errc::nospace
          ? "free space on the file system of the state directory; the agent goes on by itself"
          : "mend the storage, then restart holdfastd; what runs keeps running";
  log::error("event=ledger_failed error={} next={}", log::field(error.to_string()),
             log::field(ledger_next_));
  return error;
}

void Core::taken_by_ledger(const ledger::Batch& batch, const ledger::Head& head,
                           std::size_t published) {
  head_ = head;
  if (batch.progress) recorded_progress_ = *batch.progress;
  for (std::size_t i = published; i < batch.entries.size(); ++i) publish(batch.entries[i]);
  if (const auto& made = batch.generation) {
    generations_.insert(generations_.begin(), {.id = made->id,
                                               .spec_digest = made->spec_digest,
                                               .accepted = made->accepted,
                                               .actor = made->actor,
                                               .reason = made->reason});
    records_.reset();
    forget_old_generations();
  }
  set_results(batch.results);
}

void Core::publish(const proto::Entry& entry) {
  proto::api::Event event;
  event.time = to_rfc3339(entry.time);
  event.kind = std::string{proto::to_string(entry.kind)};
  event.generation = entry.generation;
  event.service = entry.service;
  event.message = entry.reason;
  events_.publish(std::move(event));
  log::info("event={} generation={} service={} actor={} reason={}", proto::to_string(entry.kind),
            entry.generation, log::field(entry.service), log::field(entry.actor),
            log::field(entry.reason));
}

std::map<std::string, std::string> Core::evidence_of(const plan::Failure& failure) const {
  auto evidence = failure.evidence;
  evidence["error"] = std::string{code(failure.code)};
  if (!failure.service.empty()) evidence["service"] = failure.service;
  if (options_.log_tail && evidence.contains("instance")) {
    const auto lines = options_.log_tail(plan::InstanceId{evidence.at("instance")}, 5);
    if (!lines.empty()) evidence["log_tail"] = fmt::format("{}", fmt::join(lines, "\n"));
  }
  return evidence;
}

namespace {

/// A restart after an exit keeps the last lines: of the first ones, then of every tenth, as a crash
/// loop goes on for ever and says the same each time.
bool tells_crash(const plan::Note& note) {
  const auto attempt = note.detail.find("attempt");
  if (note.kind != proto::EntryKind::restarted || attempt == note.detail.end()) return false;
  const auto number = parse_number(attempt->second);
  return number && (*number <= 5 || *number % 10 == 0);
}

}  // namespace

bool Core::record(const plan::Decision& decision) {
  ledger::Batch batch;
  const auto* rollout = decision.progress.rollout ? &*decision.progress.rollout
                        : decision.finished       ? &*decision.finished
                                                  : nullptr;
  const auto actor = rollout != nullptr ? rollout->actor : std::string{"agent"};
  for (const auto& note : decision.notes) {
    auto made = entry(note.kind, note.kind == proto::EntryKind::resumed ? "agent" : actor,
                      note.reason, note.generation);
    made.service = note.service;
    made.detail = note.detail;
    if (note.kind == proto::EntryKind::phase) {
      if (const auto seconds = note.detail.find("seconds"); seconds != note.detail.end()) {
        if (const auto h = figures_.phase_seconds.find(note.detail.at("from"));
            h != figures_.phase_seconds.end())
          h->second.observe(std::strtod(seconds->second.c_str(), nullptr));
      }
    }
    count_readiness(note);
    const bool proves = note.kind == proto::EntryKind::failed ||
                        note.kind == proto::EntryKind::hook_failed ||
                        note.kind == proto::EntryKind::rehearsed || tells_crash(note);
    if (proves && options_.log_tail && note.detail.contains("instance")) {
      const auto lines = options_.log_tail(plan::InstanceId{note.detail.at("instance")}, 5);
      if (!lines.empty()) made.detail["log_tail"] = fmt::format("{}", fmt::join(lines, "\n"));
    }
    if (note.kind == proto::EntryKind::restarted) ++figures_.workloads[note.service].restarts;
    if (note.kind == proto::EntryKind::switched && rollout != nullptr) {
      made.images_before = images_of(rollout->from);
      made.images_after = images_of(note.generation);
    }
    batch.entries.push_back(std::move(made));
  }
  for (const auto& ending : decision.endings) {
    using plan::Verdict;
    const auto result = ending.verdict == Verdict::good     ? ledger::GenerationResult::good
                        : ending.verdict == Verdict::failed ? ledger::GenerationResult::failed
                        : ending.verdict == Verdict::rolled_back
                            ? ledger::GenerationResult::rolled_back
                            : ledger::GenerationResult::superseded;
    batch.results.push_back({ending.generation, result, ending.reason});
    ++figures_.rollouts[std::string{ledger::to_string(result)}];
  }
  if (decision.quarantine) {
    if (const auto* row = generation(*decision.quarantine)) {
      const auto reason = decision.finished && decision.finished->failure
                              ? decision.finished->failure->what
                              : std::string{};
      ledger::Quarantine made{row->spec_digest, actor, reason, ports_.clock.wall(), {}, {}};
      if (decision.finished && decision.finished->failure)
        made.evidence = evidence_of(*decision.finished->failure);
      batch.quarantine.push_back(made);
      batch.entries.push_back(entry(proto::EntryKind::quarantined, actor, reason, row->id));
      put_quarantine(std::move(made));
    }
  }
  if (decision.progress != progress_) {
    auto text = plan::encode_progress(decision.progress);
    if (text != recorded_progress_) batch.progress = std::move(text);
  }
  if (batch.empty() || put_off(decision, batch)) return true;
  if (!unrecorded_ && commit(batch)) return true;
  if (!goes_on_unrecorded()) return false;
  unrecorded_ = true;
  keep_for_later(std::move(batch));
  return true;
}

/// On its way to the switch a rollback does nothing that a record would have to tell: what it is
/// for was recorded when it was asked for, and after a kill it begins again. So its phases are
/// recorded together with the switch, which then waits for one flush of the disk less.
bool Core::put_off(const plan::Decision& decision, ledger::Batch& batch) {
  const auto& next = decision.progress.rollout;
  const bool on_the_way =
      next && next->trigger == plan::Trigger::rollback && progress_.rollout &&
      progress_.rollout->target == next->target &&
      (next->phase == plan::Phase::staging || next->phase == plan::Phase::starting ||
       next->phase == plan::Phase::checking || next->phase == plan::Phase::switching);
  const bool phases_only =
      batch.results.empty() && batch.quarantine.empty() && !batch.generation &&
      std::all_of(batch.entries.begin(), batch.entries.end(),
                  [](const proto::Entry& each) { return each.kind == proto::EntryKind::phase; });
  const bool thaws_only =
      std::all_of(decision.actions.begin(), decision.actions.end(), [](const plan::Action& action) {
        return std::holds_alternative<plan::Thaw>(action) ||
               std::holds_alternative<plan::ProbeNow>(action) ||
               std::holds_alternative<plan::Route>(action);
      });
  if (!on_the_way || !phases_only || !thaws_only || !ledger_ok_) return false;
  constexpr Milliseconds kLongest{50};
  if (!put_off_) put_off_ = PutOff{.until = ports_.clock.boot() + kLongest};
  put_off_->batch.append(std::move(batch));
  return true;
}

/// Records the decision, then starts its actions. True when something was done at once, so that
/// another look is due.
bool Core::settle(plan::Decision decision) {
  // Thawing and probing leave nothing that a record would have to tell, and the switch of a
  // rollback was recorded as the wish for it: they do not wait for the disk. After a kill in
  // between, the recorded rollback goes on, and switches again.
  const bool going_back =
      progress_.rollout && progress_.rollout->trigger == plan::Trigger::rollback &&
      decision.progress.rollout && decision.progress.rollout->target == progress_.rollout->target;
  bool acted = false;
  std::erase_if(decision.actions, [&](const plan::Action& action) { return !is_harmless(action); });
  std::erase_if(decision.actions, [&](const plan::Action& action) {
    const bool at_once = std::holds_alternative<plan::Thaw>(action) ||
                         std::holds_alternative<plan::ProbeNow>(action) ||
                         (going_back && std::holds_alternative<plan::Route>(action));
    if (at_once) acted = start(action) || acted;
    if (const auto* thaw = std::get_if<plan::Thaw>(&action)) probe_thawed(*thaw, decision.progress);
    return at_once;
  });
  const bool changes = !record(decision);
  if (changes && !ledger_ok_) {
    // Storage is broken: what runs is kept running by actions that need no record; the state stays
    // as recorded.
    for (const auto& action : decision.actions) {
      if (std::holds_alternative<plan::Route>(action) ||
          std::holds_alternative<plan::RestartProcess>(action))
        acted = start(action) || acted;
    }
    return acted;
  }
  const bool begins_to_wait = !plan::is_waiting(progress_) && plan::is_waiting(decision.progress);
  const bool rehearsed = progress_.rehearsal && !decision.progress.rehearsal;
  progress_ = std::move(decision.progress);
  if (rehearsed) announce_rehearsal();
  if (begins_to_wait) announce_wait();
  acted = acted || !decision.notes.empty();
  for (const auto& action : decision.actions) acted = start(action) || acted;
  if (auto table = hosts(); table != published_hosts_) {
    if (auto written = ports_.control.set_hosts(table); !written)
      log::warn("event=hosts_failed error={}", log::field(written.error().to_string()));
    published_hosts_ = std::move(table);
  }
  if (decision.finished) finish(decision);
  return acted;
}

void Core::finish(const plan::Decision& decision) {
  const auto& rollout = *decision.finished;
  figures_.good_generation = progress_.good.value();
  figures_.last_change_timestamp =
      std::chrono::duration<double>(ports_.clock.wall().time_since_epoch()).count();
  if (rollout.trigger == plan::Trigger::rollback ||
      (rollout.failure && rollout.failure->code == Errc::cancelled)) {
    ++figures_.rollbacks["operator"];
  } else if (rollout.failure) {
    ++figures_.rollbacks["automatic"];
  }
  if (rollout.failure) ++figures_.errors[std::string{code(rollout.failure->code)}];
  for (const auto& [name, id] : rollout.fresh) observed_.job_failures.erase(name);
  if (auto reserved = reserve_for(nullptr); !reserved)
    log::warn("event=port_lost error={}", log::field(reserved.error().to_string()));
  refresh_rollback();
  announce_result(rollout);
  collect_garbage();
  back_up();
}

void Core::collect_garbage() {
  retain_images();
  const std::set<proto::Digest> keep;  // what was just retained is all
  jobs_.run(Jobs::Pool::pull, [this, keep](const std::stop_token& stop) -> std::function<void()> {
    auto collected = ports_.images.collect(keep, stop);
    return [this, collected] {
      if (!collected) {
        log::warn("event=collect_failed error={}", log::field(collected.error().to_string()));
      } else if (collected->layers + collected->blobs > 0) {
        (void)commit(
            {.entries = {entry(proto::EntryKind::collected, "agent",
                               fmt::format("{} layers, {} blobs, {} bytes", collected->layers,
                                           collected->blobs, collected->bytes),
                               {})}});
      }
    };
  });
}

}  // namespace holdfast::deploy::engine
