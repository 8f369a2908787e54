// Generations and their documents, as the engine holds them in memory.
#include <fmt/format.h>

#include <algorithm>

#include "common/log/log.hpp"
#include "deploy/engine/core.hpp"

namespace holdfast::deploy::engine {

Core::Document Core::document(GenerationId id) {
  if (id.value() == 0) return nullptr;
  if (const auto known = documents_.find(id); known != documents_.end()) return known->second;
  const auto* row = generation(id);
  if (row == nullptr) return nullptr;
  const auto text = ports_.ledger.document(row->spec_digest);
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
  if (auto learnt = learn_zones(*parsed); !learnt)
    log::warn("event=zone_unknown generation={} error={}", id.value(),
              log::field(learnt.error().to_string()));
  return documents_[id] = std::make_shared<const proto::Deployment>(std::move(parsed).value());
}

const ledger::Generation* Core::generation(GenerationId id) const {
  const auto found = std::find_if(generations_.begin(), generations_.end(),
                                  [&](const auto& row) { return row.id == id; });
  return found == generations_.end() ? nullptr : &*found;
}

void Core::set_results(const std::vector<ledger::ResultChange>& changes) {
  if (!changes.empty()) records_.reset();
  for (const auto& change : changes) {
    const auto row = std::find_if(generations_.begin(), generations_.end(),
                                  [&](const auto& known) { return known.id == change.id; });
    if (row == generations_.end()) continue;
    row->result = change.result;
    row->reason = change.reason;
    row->ever_good = row->ever_good || change.result == ledger::GenerationResult::good;
  }
}

/// The newest ones stay in memory, and those that are in use or may be gone back to; the ledger has
/// the others. Else an agent would grow for as long as its host is changed.
void Core::forget_old_generations() {
  constexpr std::size_t kNewest = 64;
  if (generations_.size() <= kNewest) return;
  const auto used = generations_in_use();
  std::size_t at = 0;
  std::map<bool, std::size_t> good;  // those that were rolled back from apart, as in retain_images
  const auto before = generations_.size();
  std::erase_if(generations_, [&](const auto& row) {
    const bool target =
        row.ever_good && good[quarantine_.contains(row.spec_digest)]++ <= options_.config.retain;
    return at++ >= kNewest && !target && !used.contains(row.id) && row.id != progress_.good;
  });
  history_complete_ = history_complete_ && generations_.size() == before;
}

void Core::put_quarantine(ledger::Quarantine row) {
  const auto digest = row.spec_digest;
  quarantine_.insert_or_assign(digest, std::move(row));
  records_.reset();
}

void Core::lift_quarantine(const proto::Digest& digest) {
  quarantine_.erase(digest);
  records_.reset();
}

}  // namespace holdfast::deploy::engine
