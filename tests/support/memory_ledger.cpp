#include "tests/support/memory_ledger.hpp"

#include <algorithm>
#include <utility>

#include "common/crypto/sha256.hpp"

namespace holdfast::test {

using namespace deploy::ledger;

Result<std::vector<Generation>> MemoryLedger::generations() {
  std::vector<Generation> found;
  for (const auto& [id, row] : tables_.generations()) found.insert(found.begin(), row);
  return found;
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
  for (const auto& [digest, row] : tables_.quarantine()) found.push_back(row);
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.since < b.since; });
  return found;
}

Result<Verification> MemoryLedger::verify() {
  Verification report{.intact = true, .entries = entries_.size(), .head = head_, .fault = {}};
  std::string hash(64, '0');
  for (const auto& row : entries_) {
    hash = proto::entry_hash(row.number, hash, bodies_[row.number - 1]);
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
  HF_TRY(check(batch));
  if (batch.generation)
    documents_.emplace(batch.generation->spec_digest, batch.generation->document);
  const auto tables = seal(batch);
  for (const auto& entry : batch.entries) {
    const bool first = &entry == &batch.entries.front();
    auto whole = sealed(entry, batch, first ? tables : std::string{});
    HF_TRY(tables_.apply(whole));
    bodies_.push_back(proto::encode_entry(whole));
    head_.hash = proto::entry_hash(++head_.number, head_.hash, bodies_.back());
    whole.detail.erase(kTablesDetail);
    entries_.push_back({head_.number, head_.hash, std::move(whole)});
  }
  if (batch.progress) progress_ = batch.progress;
  return head_;
}

/// Nothing of a refused batch is kept.
Status MemoryLedger::check(const Batch& batch) const {
  auto last = tables_.last().value();
  if (batch.generation && batch.generation->id.value() != ++last)
    return Error{Errc::conflict, "the generation is out of order"};
  for (const auto& change : batch.results)
    if (change.id.value() == 0 || change.id.value() > last)
      return Error{Errc::not_found, "no such generation"};
  if (batch.entries.empty() && !seal(batch).empty())
    return Error{Errc::internal, "a change of generations or quarantine without an entry"};
  return ok();
}

proto::Entry MemoryLedger::sealed(const proto::Entry& entry, const Batch& batch,
                                  const std::string& tables) const {
  auto whole = entry;
  if (!tables.empty()) whole.detail[kTablesDetail] = tables;
  if (entry.kind == proto::EntryKind::accepted && batch.generation &&
      entry.generation == batch.generation->id.value()) {
    whole.spec_digest = batch.generation->spec_digest;
    whole.detail["document_sha256"] =
        crypto::sha256_hex(documents_.at(batch.generation->spec_digest));
  }
  return whole;
}

}  // namespace holdfast::test
