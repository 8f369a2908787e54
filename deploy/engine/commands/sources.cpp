#include "deploy/engine/commands/sources.hpp"

#include <fmt/format.h>

#include "common/base/text.hpp"
#include "common/log/log.hpp"
#include "deploy/plan/admission/hearing.hpp"
#include "deploy/plan/staging.hpp"

namespace holdfast::deploy::engine {
namespace {

/// 0: it is not signed.
std::uint64_t serial_of(const Candidate& candidate) {
  const auto found = candidate.evidence.find("serial");
  const auto serial =
      found == candidate.evidence.end() ? std::nullopt : std::optional{parse_number(found->second)};
  return serial && *serial ? **serial : 0;
}

}  // namespace

void Sources::changed(Candidate candidate, const std::string& source) {
  parts_.milestones.source_last_success = epoch_seconds(parts_.ports.clock.wall());
  const auto actor = Actor::source("source " + source);
  const auto* last = parts_.generations.newest_of(actor);
  const bool is_known = candidate.document.has_value();
  const plan::HeardSerial word{source, serial_of(candidate)};
  const auto& before = parts_.journal.progress().heard;
  const auto heard =
      plan::hear({.word = word,
                  .before = before,
                  .accepted_last = is_known && last != nullptr &&
                                   last->spec_digest == candidate.document->spec_digest,
                  .displaced = was_displaced_by_hand(actor)});
  if (heard == plan::Heard::older) {
    const auto error = plan::older_error(word, before->serial);
    parts_.counters.count(error);
    return refused(error, source);
  }
  const bool took_effect = is_known && (!plan::is_news(word, before) ||
                                        quarantine_withdrawn(candidate.document->withdrawn, actor));
  if (is_known) remember_offer(candidate.document->spec_digest, source);
  if (heard == plan::Heard::refreshed)
    note_refresh(candidate, *parts_.generations.newest_of(actor), actor);
  if (heard == plan::Heard::wanted) {
    auto accepted = applies_.apply(std::move(candidate), actor, plan::Trigger::source);
    if (!accepted) return refused(accepted.error(), source);  // it is still news
  }
  if (took_effect) remember_serial(word);
}

void Sources::refused(const Error& error, const std::string& source) {
  log::error("event=source_refused source={} error={}", log::field(source),
             log::field(error.to_string()));
  proto::api::Event event;
  event.time = to_rfc3339(parts_.ports.clock.wall());
  event.kind = "refused";
  event.message = error.to_string();
  parts_.events.publish(std::move(event));
}

/// Remembers what a source declares, so that it is shown when that may not run.
void Sources::remember_offer(const proto::Digest& digest, const std::string& source) {
  auto next = parts_.journal.progress();
  if (next.source && next.source->spec_digest == digest && next.source->source == source) return;
  next.source = plan::OfferedDocument{source, digest};
  if (auto kept = parts_.journal.advance(std::move(next), {}); !kept)
    log::warn("event=offer_not_recorded source={} error={}", log::field(source),
              log::field(kept.error().to_string()));
}

/// Last: who is killed before takes it for news again, and each of its effects stands repetition.
void Sources::remember_serial(const plan::HeardSerial& word) {
  if (word.serial == 0 || !plan::is_news(word, parts_.journal.progress().heard)) return;
  auto next = parts_.journal.progress();
  next.heard = word;
  if (auto kept = parts_.journal.advance(std::move(next), {}); !kept)
    log::warn("event=serial_not_recorded source={} error={}", log::field(word.source),
              log::field(kept.error().to_string()));
}

/// The publisher says this content again, under a higher serial, and what runs is not of this
/// source: it takes its place again.
bool Sources::was_displaced_by_hand(const Actor& actor) const {
  const auto* runs = parts_.generations.find(parts_.journal.effective());
  return runs != nullptr && runs->actor != actor.name;
}

/// The same content, signed anew: nothing runs otherwise, and the ledger says by whom.
void Sources::note_refresh(const Candidate& candidate, const ledger::Generation& last,
                           const Actor& actor) {
  auto note = parts_.journal.entry(proto::EntryKind::apply_unchanged, actor, "refreshed", last.id);
  note.detail = detail_of(candidate);
  if (auto done = parts_.journal.commit({.entries = {std::move(note)}}); !done)
    log::warn("event=refresh_not_recorded error={}", log::field(done.error().to_string()));
}

/// Whoever publishes says that this content must never run again. What serves goes on until
/// something else does; a rollback does not go there (plan::rollback_target).
bool Sources::quarantine_withdrawn(const std::set<proto::Digest>& withdrawn, const Actor& actor) {
  ledger::Batch batch;
  auto& journal = parts_.journal;
  constexpr auto* kReason = "withdrawn by its publisher";
  for (const auto& digest : withdrawn) {
    const auto* row = parts_.quarantine.find(digest);
    if (row != nullptr && row->evidence.contains(std::string{plan::kWithdrawn})) continue;
    auto evidence = parts_.quarantine.evidence_of(digest);
    evidence[std::string{plan::kWithdrawn}] = "yes";
    batch.quarantine.push_back(
        {digest, actor, kReason, parts_.ports.clock.wall(), std::move(evidence), {}});
    auto note = journal.entry(proto::EntryKind::quarantined, actor, kReason, {});
    note.spec_digest = digest;
    batch.entries.push_back(std::move(note));
  }
  if (batch.entries.empty()) return true;
  const auto& rollout = journal.progress().rollout;
  const auto* target = rollout ? parts_.generations.find(rollout->target) : nullptr;
  const bool ends_waiting = target != nullptr && withdrawn.contains(target->spec_digest) &&
                            plan::is_waiting(journal.progress());
  if (ends_waiting) journal.withdraw_into(batch, actor, kReason);
  auto done = ends_waiting ? journal.advance(plan::withdraw(journal.progress()), std::move(batch))
                           : journal.commit(std::move(batch));
  if (!done) log::warn("event=not_withdrawn error={}", log::field(done.error().to_string()));
  parts_.attention.mark_changed();
  return done.has_value();
}

}  // namespace holdfast::deploy::engine
