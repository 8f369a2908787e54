#include "deploy/engine/state/journal.hpp"

#include <algorithm>

#include "common/log/log.hpp"
#include "deploy/plan/staging.hpp"

namespace holdfast::deploy::engine {

Journal::Journal(ledger::Ledger& ledger, const Clock& clock, const std::filesystem::path& run_dir,
                 Beside beside)
    : ledger_(ledger), clock_(clock), intent_file_(run_dir), beside_(beside) {}

Status Journal::load() {
  HF_ASSIGN(const auto text, ledger_.progress());
  if (text) {
    HF_ASSIGN(progress_, plan::decode_progress(*text, clock_.boot()));
    recorded_progress_ = *text;
  }
  HF_ASSIGN(head_, ledger_.head());
  tell_head();
  return ok();
}

/// For whoever keeps the journal off this host: a rewritten chain does not lead to it.
void Journal::tell_head() const {
  log::info("event=ledger_head number={} hash={}", head_.number, head_.hash);
}

proto::Entry Journal::entry(proto::EntryKind kind, const std::string& actor, std::string reason,
                            GenerationId id) const {
  proto::Entry made;
  made.kind = kind;
  made.time = clock_.wall();
  made.actor = actor;
  made.reason = std::move(reason);
  made.generation = id.value();
  if (const auto* row = beside_.generations.find(id)) made.spec_digest = row->spec_digest;
  return made;
}

void Journal::supersede_into(ledger::Batch& batch, GenerationId id, const std::string& actor,
                             const std::string& reason) const {
  batch.entries.push_back(entry(proto::EntryKind::superseded, actor, reason, id));
  batch.results.push_back({id, ledger::GenerationResult::superseded, reason});
}

void Journal::withdraw_into(ledger::Batch& batch, const std::string& actor,
                            const std::string& reason) const {
  if (!plan::gives_way(progress_)) return;
  supersede_into(batch, progress_.rollout->target, actor, reason);
  batch.progress = plan::encode_progress(plan::withdraw(progress_));
}

Status Journal::commit(ledger::Batch batch) {
  if (refusal_) return Error{refusal_->code, refusal_->fault}.hint(refusal_->next);
  auto whole = deferred_ ? deferred_->batch : ledger::Batch{};
  whole.append(batch);
  auto head = ledger_.commit(whole);
  if (!head) {
    auto error = refuse(head.error());
    if (!ledger_.in_doubt()) return std::move(error).hint(refusal_->next);
    return std::move(error).hint(refusal_->next +
                                 ", and may then find this change recorded (holdfast history)");
  }
  const bool all_new = deferred_ && !deferred_->effective;
  deferred_.reset();
  head_ = *head;
  if (!whole.results.empty()) tell_head();
  if (whole.progress) recorded_progress_ = *whole.progress;
  take_effect(all_new ? whole : batch);
  return ok();
}

Status Journal::advance(plan::Progress next, ledger::Batch batch) {
  batch.progress = plan::encode_progress(next);
  HF_TRY(commit(std::move(batch)));
  progress_ = std::move(next);
  beside_.attention.mark_changed();
  return ok();
}

/// Without a file it goes on as well: it cannot fail for want of a note.
void Journal::advance_regardless(plan::Progress next, const RollbackIntent& intent,
                                 ledger::Batch batch) {
  batch.progress = plan::encode_progress(next);
  batch.urgent = true;
  if (!commit(batch)) {
    if (auto written = intent_file_.write(intent); !written)
      log::error("event=intent_not_written error={}", log::field(written.error().to_string()));
    log::warn("event=rollback_unjournaled generation={} actor={} reason={} ledger={}",
              intent.target, log::field(intent.actor), log::field(intent.reason),
              log::field(refusal_ ? refusal_->fault : std::string{}));
    unjournaled_ = true;
    keep(std::move(batch));
  }
  progress_ = std::move(next);
}

bool Journal::record(const plan::Decision& decision, ledger::Batch batch) {
  if (decision.progress != progress_) {
    auto text = plan::encode_progress(decision.progress);
    if (text != recorded_progress_) batch.progress = std::move(text);
  }
  const bool recorded = batch.empty() || defer(decision, batch) || (!unjournaled_ && commit(batch));
  if (!recorded) {
    if (!continues_unjournaled()) return false;
    unjournaled_ = true;
    keep(std::move(batch));
  }
  progress_ = decision.progress;
  return true;
}

Error Journal::refuse(const Error& error) {
  beside_.counters.count(error);
  beside_.attention.mark_changed();  // whoever asks next is told
  const bool damaged =
      error.code() == Errc::ledger_corrupt || error.code() == Errc::ledger_truncated;
  Refusal refusal;
  refusal.code = error.code();
  refusal.fault = (damaged ? "the ledger is damaged, changes are refused: "
                           : "the ledger cannot be written: ") +
                  error.what();
  refusal.next =
      damaged ? "holdfast ledger recover; what runs keeps running"
      : ledger_.in_doubt()
          ? "see what the disk of the state directory is busy with; the agent goes on by itself"
      : error.code() == Errc::nospace
          ? "free space on the file system of the state directory; the agent goes on by itself"
          : "repair the storage, then restart holdfastd; what runs keeps running";
  log::error("event=ledger_failed error={} next={}", log::field(error.to_string()),
             log::field(refusal.next));
  refusal_ = std::move(refusal);
  return error;
}

/// `published`: so many of its entries are out already.
void Journal::take_effect(const ledger::Batch& batch, std::size_t published) {
  for (std::size_t i = published; i < batch.entries.size(); ++i) publish(batch.entries[i]);
  if (batch.generation) beside_.generations.add(*batch.generation);
  beside_.generations.set_results(batch.results);
  for (const auto& change : batch.results)
    ++beside_.counters.rollouts[std::string{ledger::to_string(change.result)}];
  for (const auto& row : batch.quarantine) beside_.quarantine.put(row);
  for (const auto& digest : batch.release) beside_.quarantine.lift(digest);
}

void Journal::publish(const proto::Entry& entry) {
  proto::api::Event event;
  event.time = to_rfc3339(entry.time);
  event.kind = std::string{proto::to_string(entry.kind)};
  event.generation = entry.generation;
  event.service = entry.service;
  event.message = entry.reason;
  beside_.events.publish(std::move(event));
  log::info("event={} generation={} service={} actor={} reason={}", proto::to_string(entry.kind),
            entry.generation, log::field(entry.service), log::field(entry.actor),
            log::field(entry.reason));
}

/// On its way to the switch a rollback does nothing that a record would have to tell: what it is
/// for was recorded when it was asked for, and after a kill it begins again. So its phases are
/// recorded together with the switch, which then waits for one flush of the disk less.
bool Journal::defer(const plan::Decision& decision, ledger::Batch& batch) {
  const auto& next = decision.progress.rollout;
  const bool before_the_switch =
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
  if (!before_the_switch || !phases_only || !thaws_only || refusal_) return false;
  constexpr Milliseconds kLongest{50};
  if (!deferred_) deferred_ = Deferred{.until = clock_.boot() + kLongest};
  deferred_->batch.append(std::move(batch));
  return true;
}

/// Once it is in memory only, a rollout that changes what serves goes on without the ledger: half a
/// switch is the worst place to stop in. One that has not switched yet stays where it is.
bool Journal::continues_unjournaled() const {
  if (!refusal_) return false;
  if (stale()) return unjournaled_;
  const auto& rollout = progress_.rollout;
  return unjournaled_ || (rollout && (rollout->trigger == plan::Trigger::rollback ||
                                      rollout->phase == plan::Phase::switching ||
                                      rollout->phase == plan::Phase::soaking ||
                                      rollout->phase == plan::Phase::reverting));
}

/// What the ledger is to hear of when it can be written again; of a long time, the last part.
void Journal::keep(ledger::Batch batch) {
  if (!deferred_) deferred_ = Deferred{};
  if (!std::exchange(deferred_->effective, true)) take_effect(deferred_->batch);
  take_effect(batch);
  deferred_->batch.append(std::move(batch));
  constexpr std::size_t kMost = 1'000;
  auto& entries = deferred_->batch.entries;
  if (entries.size() > kMost)
    entries.erase(entries.begin(),
                  entries.begin() + static_cast<std::ptrdiff_t>(entries.size() - kMost));
}

void Journal::retry() {
  if (writable() || ledger_.in_doubt()) return;
  auto note = entry(proto::EntryKind::agent_started, "agent", "the ledger takes entries again", {});
  note.detail["fault"] = refusal_->fault;
  refusal_.reset();
  if (!commit({.entries = {std::move(note)}, .progress = plan::encode_progress(progress_)})) return;
  log::info("event=ledger_healed");
  unjournaled_ = false;
  forget_intent();
}

bool Journal::resolve_in_doubt() {
  const auto outcome = ledger_.outcome();
  if (!outcome) return false;
  beside_.attention.mark_changed();
  if (!outcome->head) {
    (void)refuse(outcome->head.error());
    return false;
  }
  const auto& batch = outcome->batch;
  const auto published = drop_deferred(batch);
  head_ = *outcome->head;
  if (batch.progress) recorded_progress_ = *batch.progress;
  take_effect(batch, published);
  bool replaced = false;
  if (unjournaled_ && batch.generation) {
    ledger::Batch late;
    supersede_into(late, batch.generation->id, "agent", std::string{kOvertaken});
    keep(std::move(late));
  } else if (batch.progress && !unjournaled_) {
    if (auto recorded = plan::decode_progress(*batch.progress, clock_.boot())) {
      progress_ = std::move(recorded).value();
      replaced = true;
    }
  }
  retry();
  return replaced;
}

/// Takes out of what waits for the ledger the entries that it holds by now. How many of those have
/// taken effect already.
std::size_t Journal::drop_deferred(const ledger::Batch& taken) {
  if (!deferred_) return 0;
  auto& waiting = deferred_->batch.entries;
  const auto end =
      std::mismatch(waiting.begin(), waiting.end(), taken.entries.begin(), taken.entries.end())
          .first;
  const auto count = static_cast<std::size_t>(end - waiting.begin());
  waiting.erase(waiting.begin(), end);
  const bool effective = deferred_->effective;
  if (!unjournaled_) deferred_.reset();
  return effective ? count : 0;
}

void Journal::flush_deferred() {
  if (!deferred_ || unjournaled_ || deferred_->until > clock_.boot()) return;
  if (!commit({})) unjournaled_ = true;  // it is on its way to the switch of a rollback
}

BootTime Journal::wake_at(BootTime otherwise) const {
  constexpr Milliseconds kDoubtLook{200};
  if (deferred_ && !unjournaled_) otherwise = std::min(otherwise, deferred_->until);
  if (ledger_.in_doubt()) otherwise = std::min(otherwise, clock_.boot() + kDoubtLook);
  return otherwise;
}

}  // namespace holdfast::deploy::engine
