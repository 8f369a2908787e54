#include "deploy/engine/state/decision_record.hpp"

#include <fmt/format.h>

#include <cstdlib>

#include "common/base/text.hpp"
#include "deploy/plan/way_back.hpp"

namespace holdfast::deploy::engine {
namespace {

using proto::EntryKind;

/// A restart after an exit keeps the last lines: of the first ones, then of every tenth, as a crash
/// loop goes on for ever and says the same each time.
bool tells_crash(const plan::Note& note) {
  const auto attempt = note.detail.find("attempt");
  if (note.kind != EntryKind::restarted || attempt == note.detail.end()) return false;
  const auto number = parse_number(attempt->second);
  return number && (*number <= 5 || *number % 10 == 0);
}

bool proves_something(const plan::Note& note) {
  return note.kind == EntryKind::failed || note.kind == EntryKind::hook_failed ||
         note.kind == EntryKind::rehearsed || tells_crash(note);
}

/// Of the instance that `detail` names, if it names one: its last lines, and what to do about them.
void add_last_words(const Parts& parts, std::map<std::string, std::string>& detail) {
  const auto named = detail.find("instance");
  if (named == detail.end()) return;
  const auto& words = parts.evidence.of(plan::InstanceId{named->second});
  if (!words.lines.empty()) detail["log_tail"] = fmt::format("{}", fmt::join(words.lines, "\n"));
  const auto known = detail.find("next");
  if (words.advice.empty() || (known != detail.end() && !known->second.empty())) return;
  detail["next"] = words.advice;
}

/// That goes on, or ended in this step.
const plan::Rollout* rollout_of(const plan::Decision& decision) {
  if (decision.progress.rollout) return &*decision.progress.rollout;
  return decision.finished ? &*decision.finished : nullptr;
}

/// What else happens meanwhile, such as a restart after a crash, is the agent's own doing.
bool belongs_to_rollout(EntryKind kind) {
  switch (kind) {
    case EntryKind::phase:
    case EntryKind::switched:
    case EntryKind::good:
    case EntryKind::failed:
    case EntryKind::rolled_back:
    case EntryKind::quarantined:
    case EntryKind::hook_started:
    case EntryKind::hook_finished:
    case EntryKind::hook_failed:
      return true;
    default:
      return false;
  }
}

/// By service, the digest of the platform's manifest where it is known.
std::map<std::string, std::string> images_of(Parts& parts, GenerationId id) {
  std::map<std::string, std::string> images;
  const auto known = parts.generations.document(id);
  if (!known) return images;
  for (const auto& [name, service] : known->services) {
    const auto view = parts.observed.images.find(service.image.digest);
    const bool resolved = view != parts.observed.images.end() && view->second.manifest;
    images[name.str()] = resolved ? view->second.manifest->str() : service.image.digest.str();
  }
  return images;
}

ledger::GenerationResult result_of(plan::Verdict verdict) {
  switch (verdict) {
    case plan::Verdict::good:
      return ledger::GenerationResult::good;
    case plan::Verdict::failed:
      return ledger::GenerationResult::failed;
    case plan::Verdict::rolled_back:
      return ledger::GenerationResult::rolled_back;
    case plan::Verdict::superseded:
      break;
  }
  return ledger::GenerationResult::superseded;
}

void add_quarantine(const Parts& parts, const plan::Decision& decision, const std::string& actor,
                    ledger::Batch& batch) {
  const auto* row = decision.quarantine ? parts.generations.find(*decision.quarantine) : nullptr;
  if (row == nullptr) return;
  const auto* failure =
      decision.finished && decision.finished->failure ? &*decision.finished->failure : nullptr;
  ledger::Quarantine made{
      row->spec_digest,         actor, failure != nullptr ? failure->what : std::string{},
      parts.ports.clock.wall(), {},    {}};
  if (failure != nullptr) {
    made.evidence = failure->evidence;
    made.evidence["error"] = std::string{code(failure->code)};
    if (!failure->service.empty()) made.evidence["service"] = failure->service;
    add_last_words(parts, made.evidence);
  }
  batch.entries.push_back(parts.journal.entry(EntryKind::quarantined, actor, made.reason, row->id));
  batch.quarantine.push_back(std::move(made));
}

/// A rollback quarantines what it leaves. One that failed left nothing: what serves is not at
/// fault.
void add_release(const Parts& parts, const plan::Decision& decision, ledger::Batch& batch) {
  const auto& finished = decision.finished;
  if (!finished || finished->trigger != plan::Trigger::rollback || !finished->failure) return;
  const auto* serves = parts.generations.find(finished->from);
  const auto* row = serves != nullptr ? parts.quarantine.find(serves->spec_digest) : nullptr;
  if (row == nullptr) return;
  const auto target = std::to_string(finished->target.value());
  const auto evidence = row->evidence.find("rolled_back_to");
  if (evidence == row->evidence.end() || evidence->second != target) return;
  if (row->evidence.contains(std::string{plan::kWithdrawn})) return;  // its publisher's word stays
  batch.release.push_back(serves->spec_digest);
  batch.entries.push_back(parts.journal.entry(
      EntryKind::released, "agent",
      fmt::format("the rollback to generation {} failed: it keeps serving", target), serves->id));
}

}  // namespace

std::string actor_of(const plan::Decision& decision, EntryKind kind) {
  const auto* rollout = rollout_of(decision);
  return rollout != nullptr && belongs_to_rollout(kind) ? rollout->actor : "agent";
}

ledger::Batch record_of(Parts& parts, const plan::Decision& decision) {
  ledger::Batch batch;
  const auto* rollout = rollout_of(decision);
  for (const auto& note : decision.notes) {
    auto made =
        parts.journal.entry(note.kind, actor_of(decision, note.kind), note.reason, note.generation);
    made.service = note.service;
    made.detail = note.detail;
    if (proves_something(note)) add_last_words(parts, made.detail);
    if (note.kind == EntryKind::switched && rollout != nullptr) {
      made.images_before = images_of(parts, rollout->from);
      made.images_after = images_of(parts, note.generation);
    }
    batch.entries.push_back(std::move(made));
  }
  for (const auto& ending : decision.endings)
    batch.results.push_back({ending.generation, result_of(ending.verdict), ending.reason});
  add_quarantine(parts, decision, actor_of(decision, EntryKind::quarantined), batch);
  add_release(parts, decision, batch);
  return batch;
}

std::set<plan::InstanceId> needs_evidence_of(const plan::Decision& decision) {
  std::set<plan::InstanceId> named;
  const auto add = [&](const std::map<std::string, std::string>& detail) {
    const auto found = detail.find("instance");
    if (found != detail.end()) named.emplace(found->second);
  };
  for (const auto& note : decision.notes)
    if (proves_something(note)) add(note.detail);
  if (decision.finished && decision.finished->failure) add(decision.finished->failure->evidence);
  return named;
}

void count_notes(Counters& counters, const plan::Decision& decision) {
  for (const auto& note : decision.notes) {
    if (note.kind == EntryKind::restarted) ++counters.workloads[note.service].restarts;
    if (note.kind == EntryKind::hook_finished || note.kind == EntryKind::hook_failed)
      ++counters.hooks[{note.detail.at("stage"),
                        note.kind == EntryKind::hook_finished ? "success" : "failure"}];
    if (note.kind == EntryKind::standby_dropped)
      counters.standby_dropped["memory"] += note.detail.size();
    if (note.ended_phase) {
      const auto& [phase, took] = *note.ended_phase;
      counters.phase_seconds.at(std::string{plan::to_string(phase)})
          .observe(std::chrono::duration<double>(took).count());
    }
  }
}

}  // namespace holdfast::deploy::engine
