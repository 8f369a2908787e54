#include "deploy/engine/generations.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/log/log.hpp"
#include "deploy/engine/candidate.hpp"

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

const ledger::Generation* Generations::newest_of(const Actor& actor) const {
  const auto found =
      std::find_if(rows_.begin(), rows_.end(), [&](const auto& row) { return row.actor == actor; });
  return found == rows_.end() ? nullptr : &*found;
}

const ledger::Generation* Generations::newest_of(const proto::Digest& spec_digest) const {
  const auto found = std::find_if(rows_.begin(), rows_.end(),
                                  [&](const auto& row) { return row.spec_digest == spec_digest; });
  return found == rows_.end() ? nullptr : &*found;
}

Generations::Document Generations::document(GenerationId id) {
  if (id.value() == 0) return nullptr;
  if (const auto known = documents_.find(id); known != documents_.end()) return known->second;
  const auto* row = find(id);
  if (row == nullptr) return nullptr;
  const auto text = ledger_.document(row->spec_digest);
  if (!text) {
    log::error("event=document_missing generation={} error={}", id.value(),
               log::field(text.error().to_string()));
    return nullptr;
  }
  auto parsed = proto::load_deployment(*text, fmt::format("generation {}", id.value()));
  if (!parsed) {
    log::error("event=document_unreadable generation={} error={}", id.value(),
               log::field(parsed.error().to_string()));
    return nullptr;
  }
  // A zone file that is gone since leaves the window shut, and the status says so.
  if (auto known = engine::add_zones(*parsed, zones_); !known)
    log::warn("event=zone_unknown generation={} error={}", id.value(),
              log::field(known.error().to_string()));
  return documents_[id] = std::make_shared<const proto::Deployment>(std::move(parsed).value());
}

void Generations::remember(GenerationId id, proto::Deployment document) {
  documents_[id] = std::make_shared<const proto::Deployment>(std::move(document));
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
