#pragma once
/// \file
/// How the chain covers the tables: the first entry of a batch holds what the batch does to them,
/// so that replaying the entries gives the tables, and whoever edits one of them is found.

#include <map>
#include <optional>
#include <string>

#include "common/base/result.hpp"
#include "deploy/ledger/ledger.hpp"

namespace holdfast::deploy::ledger {

/// Key of an entry's detail; what people read leaves it out.
inline constexpr const char* kTablesDetail = "tables";

/// Key of the detail with `progress_digest` after the batch, in its first entry; not for people
/// either.
inline constexpr const char* kProgressDetail = "progress_sha256";

/// Generations and quarantine, as entries tell of them or as the file holds them. A value.
class Tables {
 public:
  Tables() = default;
  Tables(std::vector<Generation> generations, std::vector<Quarantine> quarantine);

  /// What the next entry of the chain changes. Errors: ledger_corrupt when its `tables` is not
  /// what `seal` wrote.
  [[nodiscard]] Status apply(const proto::Entry& entry);

  /// An entry held `tables`: from there on nothing else changes them. Before, what entries say in
  /// words was all there was (until 2026-11-30), and it does not tell everything.
  [[nodiscard]] bool covered() const { return covered_; }
  [[nodiscard]] GenerationId effective_generation() const { return effective_; }
  [[nodiscard]] GenerationId last() const;
  [[nodiscard]] const std::map<GenerationId, Generation>& generations() const {
    return generations_;
  }
  [[nodiscard]] const std::map<proto::Digest, Quarantine>& quarantine() const {
    return quarantine_;
  }

 private:
  [[nodiscard]] Status apply_sealed(const std::string& text);
  void apply_words(const proto::Entry& entry);
  void roll_back(const proto::Entry& entry);
  void set_result(GenerationId id, GenerationResult result, const std::string& reason);
  void note_effective(const proto::Entry& entry);

  std::map<GenerationId, Generation> generations_;
  std::map<proto::Digest, Quarantine> quarantine_;
  GenerationId effective_;
  bool covered_ = false;
};

/// Whether the entry begins a generation and holds the digest of its document.
[[nodiscard]] bool accepts_document(const proto::Entry& entry);

/// What a batch does to the tables, as canonical JSON; empty: nothing. Documents are not in it: the
/// entry that accepts one holds its digest. Pure.
[[nodiscard]] std::string seal(const Batch& batch);
/// All of them, for the entry from which on the chain of an older ledger covers them. Pure.
[[nodiscard]] std::string seal_all(const Tables& tables);

/// The first difference, named: "generation 3: its result is good, the chain says failed". Pure.
[[nodiscard]] std::optional<std::string> difference(const Tables& file, const Tables& chain);

}  // namespace holdfast::deploy::ledger
