#include "deploy/engine/state/quarantine.hpp"

#include <algorithm>

namespace holdfast::deploy::engine {

const ledger::Quarantine* Quarantine::find(const proto::Digest& spec_digest) const {
  const auto found = rows_.find(spec_digest);
  return found == rows_.end() ? nullptr : &found->second;
}

void Quarantine::put(ledger::Quarantine row) {
  const auto digest = row.spec_digest;
  rows_.insert_or_assign(digest, std::move(row));
  ++revision_;
}

void Quarantine::lift(const proto::Digest& spec_digest) {
  rows_.erase(spec_digest);
  ++revision_;
}

std::vector<proto::Digest> Quarantine::ended(WallTime now) const {
  std::vector<proto::Digest> over;
  for (const auto& [digest, row] : rows_) {
    if (row.until && *row.until <= now) over.push_back(digest);
  }
  return over;
}

std::optional<WallTime> Quarantine::next_end(WallTime now) const {
  std::optional<WallTime> next;
  for (const auto& [digest, row] : rows_) {
    if (row.until && *row.until > now) next = std::min(next.value_or(*row.until), *row.until);
  }
  return next;
}

}  // namespace holdfast::deploy::engine
