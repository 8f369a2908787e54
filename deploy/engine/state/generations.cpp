#include "deploy/engine/state/generations.hpp"

#include <algorithm>
#include <utility>

#include "common/log/log.hpp"

namespace holdfast::deploy::engine {

Status Generations::load() {
  HF_ASSIGN(rows_, ledger_.generations());
  ++revision_;
  return ok();
}

GenerationId Generations::next() const {
  return GenerationId{rows_.empty() ? 1 : rows_.front().id.value() + 1};
}

const ledger::Generation* Generations::find(GenerationId id) const {
  const auto found =
      std::find_if(rows_.begin(), rows_.end(), [&](const auto& row) { return row.id == id; });
  return found == rows_.end() ? nullptr : &*found;
}

const ledger::Generation* Generations::newest_of(const std::string& actor) const {
  const auto found =
      std::find_if(rows_.begin(), rows_.end(), [&](const auto& row) { return row.actor == actor; });
  return found == rows_.end() ? nullptr : &*found;
}

const ledger::Generation* Generations::newest_of(const proto::Digest& spec_digest) const {
  const auto found = std::find_if(rows_.begin(), rows_.end(),
                                  [&](const auto& row) { return row.spec_digest == spec_digest; });
  return found == rows_.end() ? nullptr : &*found;
}

Generations::Document Generations::document(GenerationId id) const {
  const auto known = documents_.find(id);
  return known == documents_.end() ? nullptr : known->second;
}

void Generations::remember(GenerationId id, proto::Deployment document) {
  documents_[id] = std::make_shared<const proto::Deployment>(std::move(document));
}

void Generations::forget_document(GenerationId id) {
  documents_.erase(id);
  unreadable_.erase(id);
}

/// Nothing where there is none to read, or where it could not be read before.
std::optional<std::string> Generations::text(GenerationId id) {
  const auto* row = find(id);
  if (row == nullptr || documents_.contains(id) || unreadable_.contains(id)) return std::nullopt;
  auto text = ledger_.document(row->spec_digest);
  if (text) return std::move(text).value();
  log::error("event=document_missing generation={} error={}", id.value(),
             log::field(text.error().to_string()));
  unreadable_.insert(id);
  return std::nullopt;
}

void Generations::read_document(GenerationId id) {
  if (const auto found = text(id)) read(id, read_stored(*found, id.value()));
}

void Generations::read(GenerationId id, StoredDocument stored) {
  if (!stored.document) {
    unreadable_.insert(id);
    return log::error("event=document_unreadable generation={} error={}", id.value(),
                      log::field(stored.document.error().to_string()));
  }
  // A zone file that is gone since leaves the window shut, and the status says so.
  if (!stored.zones_known)
    log::warn("event=zone_unknown generation={} error={}", id.value(),
              log::field(stored.zones_known.error().to_string()));
  add_zones(std::move(stored.zones));
  remember(id, std::move(stored.document).value());
  ++revision_;
}

void Generations::with_document(GenerationId id, Then then) {
  fetch_document(id, then);
  if (!reading_.contains(id)) then();
}

void Generations::fetch_document(GenerationId id, Then then) {
  auto waiting = reading_.find(id);
  if (waiting == reading_.end()) {
    auto found = text(id);
    if (!found) return;
    waiting = reading_.emplace(id, std::vector<Then>{}).first;
    jobs_.run(Jobs::Pool::document, [this, id, text = *std::move(found)](const std::stop_token&) {
      return [this, id, stored = std::make_shared<StoredDocument>(read_stored(text, id.value()))] {
        read(id, std::move(*stored));
        attention_.mark_changed();
        const auto waited = reading_.extract(id);
        for (const auto& each : waited.mapped()) each();
        if (!reading()) {
          const auto last = std::exchange(when_all_read_, {});
          for (const auto& each : last) each();
        }
      };
    });
  }
  if (then) waiting->second.push_back(std::move(then));
}

void Generations::when_all_read(Then then) {
  if (reading()) return when_all_read_.push_back(std::move(then));
  then();
}

void Generations::add(const ledger::NewGeneration& made) {
  rows_.insert(rows_.begin(), {.id = made.id,
                               .spec_digest = made.spec_digest,
                               .accepted = made.accepted,
                               .actor = made.actor,
                               .reason = made.reason});
  ++revision_;
}

void Generations::set_results(const std::vector<ledger::ResultChange>& changes) {
  if (!changes.empty()) ++revision_;
  for (const auto& change : changes) {
    const auto row = std::find_if(rows_.begin(), rows_.end(),
                                  [&](const auto& known) { return known.id == change.id; });
    if (row == rows_.end()) continue;
    row->result = change.result;
    row->reason = change.reason;
    row->ever_good = row->ever_good || change.result == ledger::GenerationResult::good;
  }
}

void Generations::forget_old(const std::set<GenerationId>& in_use,
                             const std::function<bool(const proto::Digest&)>& quarantined,
                             std::uint32_t retain) {
  constexpr std::size_t kNewest = 64;
  if (rows_.size() <= kNewest) return;
  std::size_t at = 0;
  std::map<bool, std::size_t> good;  // those that were rolled back from apart, as in `holders`
  const auto before = rows_.size();
  std::erase_if(rows_, [&](const auto& row) {
    const bool target = row.ever_good && good[quarantined(row.spec_digest)]++ <= retain;
    return at++ >= kNewest && !target && !in_use.contains(row.id);
  });
  if (rows_.size() == before) return;
  complete_ = false;
  ++revision_;
}

}  // namespace holdfast::deploy::engine
