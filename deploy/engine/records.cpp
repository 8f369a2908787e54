#include "deploy/engine/records.hpp"

#include <algorithm>
#include <tuple>

#include "deploy/engine/commands/holds_and_quarantine.hpp"

namespace holdfast::deploy::engine {
namespace {

Records list(const Parts& parts, GenerationId effective) {
  using Result = proto::Word<proto::api::GenerationResult>;
  Records made;
  const auto& rows = parts.generations.rows();
  made.history.reserve(rows.size());
  for (const auto& row : rows) {
    // Earlier agents wrote over what was good when the next one was.
    const bool stays = row.ever_good && row.result == ledger::GenerationResult::superseded;
    made.history.push_back(
        {row.id.value(), row.spec_digest.str(),
         Result::read(ledger::to_string(stays ? ledger::GenerationResult::good : row.result)),
         stays ? std::string{} : row.reason, row.actor, to_rfc3339(row.accepted),
         row.id == effective, parts.quarantine.contains(row.spec_digest)});
  }
  made.history_complete = parts.generations.complete();
  made.quarantine.reserve(parts.quarantine.rows().size());
  for (const auto& [digest, row] : parts.quarantine.rows())
    made.quarantine.push_back(quarantine_item(row, parts.generations, parts.journal.progress()));
  std::sort(made.quarantine.begin(), made.quarantine.end(), [](const auto& a, const auto& b) {
    return std::tie(a.since, a.spec_digest) < std::tie(b.since, b.spec_digest);
  });
  return made;
}

}  // namespace

std::shared_ptr<const Records> RecordsCache::of(const Parts& parts) {
  Version now{parts.generations.revision(), parts.quarantine.revision(), parts.journal.effective(),
              parts.journal.progress().source};
  if (records_ && version_ == now) return records_;
  records_ = std::make_shared<const Records>(list(parts, now.effective));
  version_ = std::move(now);
  return records_;
}

}  // namespace holdfast::deploy::engine
