#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/db/db.hpp"
#include "deploy/ledger/ledger.hpp"
#include "deploy/ledger/tables.hpp"

namespace holdfast::deploy::ledger {

/// Errors: ledger_corrupt.
[[nodiscard]] Result<GenerationResult> result_of(std::string_view text);

/// What both sides of the ledger read. Entries without their `tables` detail, which is the chain's.
/// Errors: ledger_corrupt when a row cannot be what we wrote, and those of Db.
[[nodiscard]] Result<std::vector<Generation>> read_generations(db::Db& db);
[[nodiscard]] Result<std::string> read_document(db::Db& db, const proto::Digest& spec_digest);
/// SHA-256 of the document as the chain says it was accepted first; walks the chain. Errors:
/// not_found.
[[nodiscard]] Result<std::string> accepted_document(db::Db& db, const proto::Digest& spec_digest);
[[nodiscard]] Result<std::vector<NumberedEntry>> read_entries(db::Db& db, std::uint64_t after,
                                                              std::size_t limit);
[[nodiscard]] Result<std::vector<NumberedEntry>> read_entries_of(db::Db& db, GenerationId id);
[[nodiscard]] Result<std::vector<Quarantine>> read_quarantine(db::Db& db);
/// Both tables as the file holds them.
[[nodiscard]] Result<Tables> read_tables(db::Db& db);
[[nodiscard]] Result<Head> read_head(db::Db& db);
[[nodiscard]] Result<Verification> verify_ledger(db::Db& db,
                                                 const std::filesystem::path& state_dir);
[[nodiscard]] Result<std::optional<std::string>> read_progress(db::Db& db);

/// JSON object of texts, and back. Errors: ledger_corrupt.
[[nodiscard]] std::string encode_evidence(const std::map<std::string, std::string>& evidence);
[[nodiscard]] Result<std::map<std::string, std::string>> decode_evidence(std::string_view text);

/// Only as it was accepted: what others put in its place is not handed out. Walks the chain.
/// Errors: ledger_corrupt, not_found.
[[nodiscard]] Result<std::string> read_accepted_document(db::Db& db,
                                                         const proto::Digest& spec_digest);

/// The reading half of `Base` (Reader or Ledger) over one connection.
template <class Base>
class ReadSide : public Base {
 public:
  ReadSide(db::Db db, std::filesystem::path state_dir)
      : db_(std::move(db)), state_dir_(std::move(state_dir)) {}

  Result<std::vector<Generation>> generations() override { return read_generations(db_); }
  Result<std::string> document(const proto::Digest& spec_digest) override {
    return read_document(db_, spec_digest);
  }
  Result<std::vector<NumberedEntry>> entries(std::uint64_t after, std::size_t limit) override {
    return read_entries(db_, after, limit);
  }
  Result<std::vector<NumberedEntry>> entries_of(GenerationId id) override {
    return read_entries_of(db_, id);
  }
  Result<std::vector<Quarantine>> quarantine() override { return read_quarantine(db_); }
  Result<Head> head() override { return read_head(db_); }
  Result<Verification> verify() override { return verify_ledger(db_, state_dir_); }

 protected:
  db::Db db_;
  std::filesystem::path state_dir_;
};

}  // namespace holdfast::deploy::ledger
