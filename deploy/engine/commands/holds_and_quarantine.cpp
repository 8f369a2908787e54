#include "deploy/engine/commands/holds_and_quarantine.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/text.hpp"
#include "deploy/plan/way_back.hpp"

namespace holdfast::deploy::engine {
namespace {

constexpr std::size_t kLeastDigits = 6;

bool is_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

Status need_reason(const std::string& reason) {
  if (!trim(reason).empty()) return ok();
  return Error{Errc::usage, "a reason is missing"}.hint("say why: --reason TEXT");
}

proto::api::HoldStatus hold_status(const plan::Hold& hold) {
  return {hold.actor, hold.reason, to_rfc3339(hold.since),
          hold.until ? to_rfc3339(*hold.until) : std::string{}};
}

proto::api::QuarantineItem quarantine_item(const ledger::Quarantine& row,
                                           const Generations& generations,
                                           const plan::Progress& progress) {
  proto::api::QuarantineItem made{.spec_digest = row.spec_digest.str(),
                                  .generation = 0,
                                  .actor = row.actor,
                                  .reason = row.reason,
                                  .evidence = row.evidence,
                                  .since = to_rfc3339(row.since),
                                  .until = row.until ? to_rfc3339(*row.until) : std::string{},
                                  .source = {}};
  if (const auto* newest = generations.newest_of(row.spec_digest))
    made.generation = newest->id.value();
  if (progress.source && progress.source->spec_digest == row.spec_digest)
    made.source = progress.source->source;
  return made;
}

proto::api::QuarantineItem HoldsAndQuarantine::item(const ledger::Quarantine& row) const {
  return quarantine_item(row, parts_.generations, parts_.journal.progress());
}

Result<std::optional<WallTime>> parse_until(const std::string& until, WallTime now) {
  if (until.empty()) return std::optional<WallTime>{};
  auto time = parse_rfc3339(until);
  if (!time) return std::move(time).error().in("until");
  if (*time <= now)
    return Error{Errc::usage, fmt::format("until: {} is in the past", to_rfc3339(*time))};
  return std::optional{*time};
}

Result<proto::api::HoldStatus> HoldsAndQuarantine::hold(const proto::api::HoldRequest& request,
                                                        const Actor& actor) {
  HF_TRY(need_reason(request.reason));
  HF_ASSIGN(const auto until, parse_until(request.until, parts_.ports.clock.wall()));
  auto& journal = parts_.journal;
  auto next = journal.progress();
  auto note = journal.entry(proto::EntryKind::held, actor, request.reason, journal.effective());
  if (until) note.detail["until"] = to_rfc3339(*until);
  if (next.hold) {
    note.detail["replaces_hold_by"] = next.hold->actor;
    note.detail["replaces_reason"] = next.hold->reason;
  }
  next.hold = plan::Hold{actor, request.reason, parts_.ports.clock.wall(), until};
  HF_TRY(journal.advance(std::move(next), {.entries = {std::move(note)}}));
  return hold_status(*journal.progress().hold);
}

Result<proto::api::Resumed> HoldsAndQuarantine::resume(const proto::api::ResumeRequest& request,
                                                       const Actor& actor) {
  auto& journal = parts_.journal;
  if (!journal.progress().hold) return proto::api::Resumed{};
  const auto ended = *journal.progress().hold;
  auto next = journal.progress();
  next.hold.reset();
  auto note = journal.entry(proto::EntryKind::resumed, actor, request.reason, journal.effective());
  note.detail = {{"held_by", ended.actor},
                 {"held_since", to_rfc3339(ended.since)},
                 {"held_reason", ended.reason}};
  HF_TRY(journal.advance(std::move(next), {.entries = {std::move(note)}}));
  return proto::api::Resumed{hold_status(ended)};
}

/// A generation's number, else a digest or the beginning of one that is known here.
Result<proto::Digest> HoldsAndQuarantine::resolve(const std::string& what) const {
  if (const auto number = parse_number(what)) {
    if (const auto* row = parts_.generations.find(GenerationId{*number})) return row->spec_digest;
    if (what.size() < kLeastDigits)
      return Error{Errc::not_found, fmt::format("there is no generation {}", *number)}.hint(
          "`holdfast history` lists them");
  }
  const std::string_view digits =
      std::string_view{what}.substr(what.starts_with("sha256:") ? 7 : 0);
  if (digits.size() == 64 && is_hex(digits)) return proto::Digest::from_hex(digits);
  if (digits.size() < kLeastDigits || digits.size() > 64 || !is_hex(digits))
    return Error{Errc::usage, fmt::format("\"{}\" is neither the number of a generation nor a "
                                          "digest or at least its first {} hex digits",
                                          printable(what), kLeastDigits)}
        .hint("`holdfast history` and `holdfast quarantine list` show both");
  return resolve_prefix(digits);
}

Result<proto::Digest> HoldsAndQuarantine::resolve_prefix(std::string_view digits) const {
  std::set<proto::Digest> found;
  for (const auto& row : parts_.generations.rows()) {
    if (row.spec_digest.hex().starts_with(digits)) found.insert(row.spec_digest);
  }
  for (const auto& [digest, row] : parts_.quarantine.rows()) {
    if (digest.hex().starts_with(digits)) found.insert(digest);
  }
  if (found.size() == 1) return *found.begin();
  if (found.empty())
    return Error{Errc::not_found, fmt::format("no document begins with {}", digits)}.hint(
        "`holdfast history` and `holdfast quarantine list` show those that are known here");
  return Error{Errc::conflict, fmt::format("{} documents begin with {}", found.size(), digits)}
      .hint("write more digits");
}

/// What runs, or is on the way, is quarantined by going back from it.
Status HoldsAndQuarantine::may_quarantine(const proto::Digest& digest) const {
  const auto& journal = parts_.journal;
  const auto* runs = parts_.generations.find(journal.effective());
  if (runs != nullptr && runs->spec_digest == digest)
    return Error{Errc::conflict,
                 fmt::format("generation {} of this document runs", runs->id.value())}
        .hint("go back to an earlier one, which quarantines it: holdfast rollback");
  const auto& rollout = journal.progress().rollout;
  const auto* target = rollout ? parts_.generations.find(rollout->target) : nullptr;
  if (target != nullptr && target->spec_digest == digest && !plan::is_waiting(journal.progress()))
    return Error{Errc::conflict,
                 fmt::format("generation {} is being rolled out", target->id.value())}
        .hint("turn it back, which quarantines it: holdfast rollback");
  return ok();
}

/// All of them are in each snapshot and each list; what a rollout finds out is always added.
Status HoldsAndQuarantine::has_room(const proto::Digest& digest, const Actor& actor) const {
  constexpr std::size_t kMostOfRoles = 500;
  constexpr std::size_t kMost = 1000;
  const auto count = parts_.quarantine.rows().size();
  if (parts_.quarantine.contains(digest) || count < (actor.is_root() ? kMost : kMostOfRoles))
    return ok();
  return Error{Errc::conflict, fmt::format("{} documents are quarantined already", count)}.hint(
      "release what is needed no more: holdfast quarantine list, holdfast quarantine release");
}

Result<proto::api::QuarantineItem> HoldsAndQuarantine::quarantine(
    const proto::api::QuarantineRequest& request, const Actor& actor) {
  HF_TRY(need_reason(request.reason));
  HF_ASSIGN(const auto digest, resolve(request.what));
  HF_ASSIGN(const auto until, parse_until(request.until, parts_.ports.clock.wall()));
  HF_TRY(may_quarantine(digest));
  HF_TRY(has_room(digest, actor));
  auto& journal = parts_.journal;
  ledger::Quarantine row{digest, actor, request.reason, parts_.ports.clock.wall(), {}, until};
  // What an earlier failure proved stays known, and what its publisher withdrew, for ever.
  row.evidence = parts_.quarantine.evidence_of(digest);
  if (row.evidence.contains(std::string{plan::kWithdrawn})) row.until.reset();
  auto note = journal.entry(proto::EntryKind::quarantined, actor, request.reason, {});
  note.spec_digest = digest;
  note.generation = item(row).generation;
  if (row.until) note.detail["until"] = to_rfc3339(*row.until);
  ledger::Batch batch;
  batch.entries.push_back(std::move(note));
  batch.quarantine.push_back(row);
  const auto& rollout = journal.progress().rollout;
  const auto* target = rollout ? parts_.generations.find(rollout->target) : nullptr;
  if (target != nullptr && target->spec_digest == digest) {
    journal.withdraw_into(batch, actor, "quarantined before it began: " + request.reason);
    HF_TRY(journal.advance(plan::withdraw(journal.progress()), std::move(batch)));
  } else {
    HF_TRY(journal.commit(std::move(batch)));
  }
  parts_.attention.mark_changed();
  return item(row);
}

Result<proto::api::QuarantineItem> HoldsAndQuarantine::release(
    const proto::api::ReleaseRequest& request, const Actor& actor) {
  HF_ASSIGN(const auto digest, resolve(request.what));
  const auto* found = parts_.quarantine.find(digest);
  if (found == nullptr)
    return Error{Errc::not_found, fmt::format("document {} is not quarantined", digest.short_hex())}
        .hint("`holdfast quarantine list` shows those that are");
  const auto was = item(*found);
  auto note = parts_.journal.entry(proto::EntryKind::released, actor, request.reason,
                                   GenerationId{was.generation});
  note.spec_digest = digest;
  HF_TRY(parts_.journal.commit({.entries = {std::move(note)}, .release = {digest}}));
  parts_.attention.mark_changed();
  return was;
}

BootTime HoldsAndQuarantine::expire(BootTime wake) {
  const auto now = parts_.ports.clock.wall();
  if (const auto next = parts_.quarantine.next_end(now))
    wake = std::min<BootTime>(wake, parts_.ports.clock.boot() + (*next - now));
  ledger::Batch batch;
  for (const auto& digest : parts_.quarantine.ended(now)) {
    const auto listed = item(*parts_.quarantine.find(digest));
    auto note =
        parts_.journal.entry(proto::EntryKind::released, "agent",
                             "the quarantine ended at its time", GenerationId{listed.generation});
    note.spec_digest = digest;
    batch.entries.push_back(std::move(note));
    batch.release.push_back(digest);
  }
  if (!batch.release.empty() && parts_.journal.commit(std::move(batch)))
    parts_.attention.mark_changed();
  return wake;
}

}  // namespace holdfast::deploy::engine
