#include "tests/support/memory_ledger.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::test {

using namespace deploy::ledger;

Result<std::vector<Generation>> MemoryLedger::generations() {
  return std::vector<Generation>{generations_.rbegin(), generations_.rend()};
}

Result<std::string> MemoryLedger::document(const proto::Digest& spec_digest) {
  const auto found = documents_.find(spec_digest);
  if (found == documents_.end()) return Error{Errc::not_found, "no such document"};
  return found->second;
}

Result<std::vector<NumberedEntry>> MemoryLedger::entries(std::uint64_t after, std::size_t limit) {
  std::vector<NumberedEntry> found;
  for (const auto& row : entries_)
    if (row.number > after && found.size() < limit) found.push_back(row);
  return found;
}

Result<std::vector<NumberedEntry>> MemoryLedger::entries_of(deploy::plan::GenerationId id) {
  std::vector<NumberedEntry> found;
  for (const auto& row : entries_)
    if (row.entry.generation == id.value()) found.push_back(row);
  return found;
}

Result<std::vector<Quarantine>> MemoryLedger::quarantine() {
  std::vector<Quarantine> found;
  for (const auto& [digest, row] : quarantine_) found.push_back(row);
  return found;
}

Result<Verification> MemoryLedger::verify() {
  Verification report{.intact = true, .entries = entries_.size(), .head = head_, .fault = {}};
  std::string hash(64, '0');
  for (const auto& row : entries_) {
    hash = proto::entry_hash(row.number, hash, proto::encode_entry(row.entry));
    if (hash != row.hash) report.intact = false;
  }
  return report;
}

std::optional<Outcome> MemoryLedger::outcome() {
  if (!pending_ || slow) return std::nullopt;
  auto batch = *std::exchange(pending_, std::nullopt);
  auto head = commit(batch);
  return Outcome{std::move(batch), std::move(head)};
}

Result<Head> MemoryLedger::commit(const Batch& batch) {
  if (slow || pending_) {
    if (!pending_) pending_ = batch;
    return Error{Errc::busy, "the disk has not taken an entry for 1000 ms"};
  }
  if (fault) return *fault;
  if (batch.generation) {
    const auto& made = *batch.generation;
    if (made.id.value() != generations_.size() + 1)
      return Error{Errc::conflict, "the generation is out of order"};
    documents_.emplace(made.spec_digest, made.document);
    generations_.push_back({.id = made.id,
                            .spec_digest = made.spec_digest,
                            .result = GenerationResult::pending,
                            .ever_good = false,
                            .accepted = made.accepted,
                            .actor = made.actor,
                            .reason = made.reason});
  }
  for (const auto& change : batch.results) {
    if (change.id.value() == 0 || change.id.value() > generations_.size())
      return Error{Errc::not_found, "no such generation"};
    auto& row = generations_[change.id.value() - 1];
    row.result = change.result;
    row.reason = change.reason;
    row.ever_good = row.ever_good || change.result == GenerationResult::good;
  }
  for (const auto& entry : batch.entries) {
    head_.hash = proto::entry_hash(head_.number + 1, head_.hash, proto::encode_entry(entry));
    entries_.push_back({++head_.number, head_.hash, entry});
  }
  for (const auto& row : batch.quarantine) quarantine_.insert_or_assign(row.spec_digest, row);
  for (const auto& digest : batch.release) quarantine_.erase(digest);
  if (batch.progress) progress_ = batch.progress;
  return head_;
}

}  // namespace holdfast::test
