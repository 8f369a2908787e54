// What keeps changes from happening: holds, the quarantine, windows.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/text.hpp"
#include "common/log/log.hpp"
#include "common/os/time_zone.hpp"
#include "deploy/engine/core.hpp"

namespace holdfast::deploy::engine {
namespace {

constexpr std::size_t kLeastDigits = 6;

proto::api::HoldStatus status_of(const plan::Hold& hold) {
  return {hold.actor, hold.reason, to_rfc3339(hold.since),
          hold.until ? to_rfc3339(*hold.until) : std::string{}};
}

bool is_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Status need_reason(const std::string& reason) {
  if (!trim(reason).empty()) return ok();
  return Error{Errc::usage, "a reason is missing"}.hint("say why: --reason TEXT");
}

}  // namespace

Status Core::learn_zones(const proto::Deployment& wanted) {
  for (const auto& [name, service] : wanted.services) {
    const auto& window = service.update.window;
    if (!window || observed_.zones.contains(window->zone)) continue;
    auto zone = os::load_time_zone(window->zone);
    if (!zone)
      return std::move(zone).error().in(fmt::format("services.{}.update.window", name.str()));
    observed_.zones.emplace(window->zone, std::move(zone).value());
  }
  return ok();
}

Result<std::optional<WallTime>> Core::parse_until(const std::string& until) const {
  if (until.empty()) return std::optional<WallTime>{};
  auto time = parse_rfc3339(until);
  if (!time) return std::move(time).error().in("until");
  if (*time <= ports_.clock.wall())
    return Error{Errc::usage, fmt::format("until: {} is in the past", to_rfc3339(*time))};
  return std::optional{*time};
}

Result<proto::api::HoldStatus> Core::hold(const proto::api::HoldRequest& request,
                                          const Actor& actor) {
  HF_TRY(need_reason(request.reason));
  HF_ASSIGN(const auto until, parse_until(request.until));
  auto next = progress_;
  auto note = entry(proto::EntryKind::held, actor, request.reason, plan::in_force(progress_));
  if (until) note.detail["until"] = to_rfc3339(*until);
  if (next.hold) {
    note.detail["replaces_hold_by"] = next.hold->actor;
    note.detail["replaces_reason"] = next.hold->reason;
  }
  next.hold = plan::Hold{actor, request.reason, ports_.clock.wall(), until};
  ledger::Batch batch;
  batch.entries.push_back(std::move(note));
  batch.progress = plan::encode_progress(next);
  HF_TRY(commit(std::move(batch)));
  progress_ = std::move(next);
  changed_ = true;
  return status_of(*progress_.hold);
}

Result<proto::api::Resumed> Core::resume(const proto::api::ResumeRequest& request,
                                         const Actor& actor) {
  if (!progress_.hold) return proto::api::Resumed{};
  const auto ended = *progress_.hold;
  auto next = progress_;
  next.hold.reset();
  auto note = entry(proto::EntryKind::resumed, actor, request.reason, plan::in_force(progress_));
  note.detail = {{"held_by", ended.actor},
                 {"held_since", to_rfc3339(ended.since)},
                 {"held_reason", ended.reason}};
  ledger::Batch batch;
  batch.entries.push_back(std::move(note));
  batch.progress = plan::encode_progress(next);
  HF_TRY(commit(std::move(batch)));
  progress_ = std::move(next);
  changed_ = true;
  return proto::api::Resumed{status_of(ended)};
}

/// A generation's number, else a digest or the beginning of one that is known here.
Result<proto::Digest> Core::resolve(const std::string& what) {
  if (const auto number = parse_number(what)) {
    if (const auto* row = generation(GenerationId{*number})) return row->spec_digest;
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
  std::set<proto::Digest> found;
  for (const auto& row : generations_) {
    if (row.spec_digest.hex().starts_with(digits)) found.insert(row.spec_digest);
  }
  for (const auto& [digest, row] : quarantine_) {
    if (digest.hex().starts_with(digits)) found.insert(digest);
  }
  if (found.size() == 1) return *found.begin();
  if (found.empty())
    return Error{Errc::not_found, fmt::format("no document begins with {}", digits)}.hint(
        "`holdfast history` and `holdfast quarantine list` show those that are known here");
  return Error{Errc::conflict, fmt::format("{} documents begin with {}", found.size(), digits)}
      .hint("write more digits");
}

proto::api::QuarantineItem Core::item(const ledger::Quarantine& row) const {
  proto::api::QuarantineItem made{.spec_digest = row.spec_digest.str(),
                                  .generation = 0,
                                  .actor = row.actor,
                                  .reason = row.reason,
                                  .evidence = row.evidence,
                                  .since = to_rfc3339(row.since),
                                  .until = row.until ? to_rfc3339(*row.until) : std::string{},
                                  .source = {}};
  const auto newest = std::find_if(generations_.begin(), generations_.end(), [&](const auto& each) {
    return each.spec_digest == row.spec_digest;
  });
  if (newest != generations_.end()) made.generation = newest->id.value();
  if (progress_.source && progress_.source->spec_digest == row.spec_digest)
    made.source = progress_.source->source;
  return made;
}

Result<proto::api::QuarantineItem> Core::quarantine(const proto::api::QuarantineRequest& request,
                                                    const Actor& actor) {
  HF_TRY(need_reason(request.reason));
  HF_ASSIGN(const auto digest, resolve(request.what));
  HF_ASSIGN(const auto until, parse_until(request.until));
  const auto* runs = generation(plan::in_force(progress_));
  if (runs != nullptr && runs->spec_digest == digest)
    return Error{Errc::conflict,
                 fmt::format("generation {} of this document runs", runs->id.value())}
        .hint("go back to an earlier one, which quarantines it: holdfast rollback");
  const auto* target = progress_.rollout ? generation(progress_.rollout->target) : nullptr;
  const bool rolling = target != nullptr && target->spec_digest == digest;
  if (rolling && !plan::is_waiting(progress_))
    return Error{Errc::conflict,
                 fmt::format("generation {} is being rolled out", target->id.value())}
        .hint("turn it back, which quarantines it: holdfast rollback");
  ledger::Quarantine row{digest, actor, request.reason, ports_.clock.wall(), {}, until};
  auto note = entry(proto::EntryKind::quarantined, actor, request.reason, {});
  note.spec_digest = digest;
  note.generation = item(row).generation;
  if (until) note.detail["until"] = to_rfc3339(*until);
  // What an earlier failure proved stays known.
  if (const auto known = quarantine_.find(digest); known != quarantine_.end())
    row.evidence = known->second.evidence;
  ledger::Batch batch;
  batch.entries.push_back(std::move(note));
  batch.quarantine.push_back(row);
  if (rolling) withdraw_into(batch, actor, "quarantined before it began: " + request.reason);
  HF_TRY(commit(std::move(batch)));
  if (rolling) progress_ = plan::withdraw(progress_);
  put_quarantine(row);
  refresh_rollback();
  changed_ = true;
  return item(row);
}

Result<proto::api::QuarantineItem> Core::release(const proto::api::ReleaseRequest& request,
                                                 const Actor& actor) {
  HF_ASSIGN(const auto digest, resolve(request.what));
  const auto found = quarantine_.find(digest);
  if (found == quarantine_.end())
    return Error{Errc::not_found, fmt::format("document {} is not quarantined", digest.short_hex())}
        .hint("`holdfast quarantine list` shows those that are");
  const auto was = item(found->second);
  auto note =
      entry(proto::EntryKind::released, actor, request.reason, GenerationId{was.generation});
  note.spec_digest = digest;
  ledger::Batch batch;
  batch.entries.push_back(std::move(note));
  batch.release.push_back(digest);
  HF_TRY(commit(std::move(batch)));
  lift_quarantine(digest);
  refresh_rollback();
  changed_ = true;
  return was;
}

/// Releases what was quarantined for a time; when the next turn is due for that.
BootTime Core::expire_quarantine(BootTime wake) {
  const auto now = ports_.clock.wall();
  ledger::Batch batch;
  for (const auto& [digest, row] : quarantine_) {
    if (!row.until) continue;
    if (*row.until > now) {
      wake = std::min<BootTime>(wake, ports_.clock.boot() + (*row.until - now));
      continue;
    }
    auto note = entry(proto::EntryKind::released, "agent", "the quarantine ended at its time",
                      GenerationId{item(row).generation});
    note.spec_digest = digest;
    batch.entries.push_back(std::move(note));
    batch.release.push_back(digest);
  }
  if (batch.release.empty()) return wake;
  const auto released = batch.release;
  if (commit(std::move(batch))) {
    for (const auto& digest : released) lift_quarantine(digest);
    refresh_rollback();
    changed_ = true;
  }
  return wake;
}

/// Adds to `batch` that the waiting roll-out is taken back, and its progress.
void Core::withdraw_into(ledger::Batch& batch, const Actor& actor, const std::string& reason) {
  if (!plan::is_waiting(progress_)) return;
  supersede_into(batch, progress_.rollout->target, actor, reason);
  batch.progress = plan::encode_progress(plan::withdraw(progress_));
}

void Core::supersede_into(ledger::Batch& batch, GenerationId id, const Actor& actor,
                          const std::string& reason) {
  batch.entries.push_back(entry(proto::EntryKind::superseded, actor, reason, id));
  batch.results.push_back({id, ledger::GenerationResult::superseded, reason});
  ++figures_.rollouts["superseded"];
}

Status Core::withdraw_rollout(const Actor& actor, const std::string& reason) {
  ledger::Batch batch;
  withdraw_into(batch, actor, reason);
  HF_TRY(commit(std::move(batch)));
  progress_ = plan::withdraw(progress_);
  changed_ = true;
  return ok();
}

/// Remembers what a source declares, so that it is shown when that may not run.
void Core::offer(const proto::Digest& digest, const std::string& source) {
  if (progress_.source && progress_.source->spec_digest == digest &&
      progress_.source->source == source)
    return;
  auto next = progress_;
  next.source = plan::SourceWord{source, digest};
  ledger::Batch batch;
  batch.progress = plan::encode_progress(next);
  if (commit(std::move(batch))) progress_ = std::move(next);
}

void Core::warn_of_waits(const proto::api::ApplyRequest& request, const proto::Deployment& wanted,
                         std::vector<std::string>& warnings) {
  if (progress_.hold)
    warnings.push_back(fmt::format(
        "changes are held by {}{}: {}", progress_.hold->actor,
        progress_.hold->until ? " until " + to_rfc3339(*progress_.hold->until) : std::string{},
        progress_.hold->reason));
  const auto before = document(plan::in_force(progress_));
  const auto windows = plan::windows_between(before.get(), wanted);
  const auto now = ports_.clock.wall();
  const auto opening = plan::next_common(windows, observed_.zones, now);
  if (request.now || opening.at == now) return;
  warnings.push_back(opening.at ? "will begin in its window, at " +
                                      plan::local_text(*opening.at, windows, observed_.zones)
                                : "will not begin: " + opening.why_not);
}

}  // namespace holdfast::deploy::engine
