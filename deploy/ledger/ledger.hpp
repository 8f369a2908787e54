#pragma once
/// \file
/// The append-only, hash-chained history, and the small durable state beside it
/// (packaging/doc/design.md 8).

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "deploy/plan/model/model.hpp"
#include "proto/digest.hpp"
#include "proto/ledger/entry.hpp"

namespace holdfast::deploy::ledger {

using plan::GenerationId;

struct Head {
  std::uint64_t number = 0;  ///< of the last entry; 0: empty
  std::string hash;          ///< 64 hex digits
  bool operator==(const Head&) const = default;
};

enum class GenerationResult : std::uint8_t { pending, good, failed, rolled_back, superseded };
[[nodiscard]] std::string_view to_string(GenerationResult result);

struct Generation {
  GenerationId id;
  proto::Digest spec_digest;
  GenerationResult result = GenerationResult::pending;
  bool ever_good = false;  ///< passed gate and soak at least once: a rollback target
  WallTime accepted{};
  std::string actor;
  std::string reason;  ///< of its last result
};

struct NewGeneration {
  GenerationId id;  ///< must be the successor of the highest
  proto::Digest spec_digest;
  std::string document;  ///< the YAML as it was read
  std::string actor;
  std::string reason;
  WallTime accepted{};
};

struct ResultChange {
  GenerationId id;
  GenerationResult result;
  std::string reason;
};

struct Quarantine {
  proto::Digest spec_digest;
  std::string actor;
  std::string reason;
  WallTime since{};
  std::map<std::string, std::string> evidence{};  ///< what proves it, by snake_case names
  std::optional<WallTime> until{};                ///< none: until somebody releases it
};

/// What one step of the engine makes durable, in one transaction.
struct Batch {
  std::vector<proto::Entry> entries{};
  std::optional<NewGeneration> generation{};
  std::vector<ResultChange> results{};
  std::optional<std::string> progress{};  ///< the engine's state, opaque JSON; replaces the former
  std::vector<Quarantine> quarantine{};
  std::vector<proto::Digest> release{};  ///< from quarantine
  bool urgent =
      false;  ///< who waits for it cannot wait for long: a rollback, which needs no record
  [[nodiscard]] bool empty() const;
  /// `more` after what is here. At most one of the two may hold a generation.
  void append(Batch more);
};

struct NumberedEntry {
  std::uint64_t number = 0;
  std::string hash;
  proto::Entry entry;
};

struct Verification {
  bool intact = false;
  std::uint64_t entries = 0;
  Head head;
  std::string fault;  ///< the first fault, with its entry number; empty when intact
};

/// Read side; each reader has a connection of its own, so any thread may hold one. Not thread safe
/// itself.
class Reader {
 public:
  virtual ~Reader() = default;
  virtual Result<std::vector<Generation>> generations() = 0;  ///< newest first
  virtual Result<std::string> document(
      const proto::Digest& spec_digest) = 0;  ///< YAML; errors: not_found
  /// Entries after `after`, oldest first, at most `limit`.
  virtual Result<std::vector<NumberedEntry>> entries(std::uint64_t after, std::size_t limit) = 0;
  virtual Result<std::vector<NumberedEntry>> entries_of(GenerationId id) = 0;
  virtual Result<std::vector<Quarantine>> quarantine() = 0;
  virtual Result<Head> head() = 0;
  /// Recomputes the whole chain and compares with the HEAD file.
  virtual Result<Verification> verify() = 0;
};

/// What became of a commit that was in doubt.
struct Outcome {
  Batch batch;
  Result<Head> head;
};

/// Write side: one per state directory, owned by the engine thread.
class Ledger : public Reader {
 public:
  /// One durable transaction, then the HEAD file. On a storage error (Errc::io, ledger_corrupt) the
  /// ledger turns read-only for the rest of its life: a failed fsync is never retried. A full disk
  /// (nospace) leaves nothing undecided: the reserve file is given up first, so that the failure
  /// itself can be recorded, and later commits may succeed once there is space again. An `accepted`
  /// entry of the batch's new generation gets `detail.document_sha256`, so that the chain covers
  /// the document. Errors: those, conflict (generation out of order), not_found (result of an
  /// unknown generation).
  virtual Result<Head> commit(const Batch& batch) = 0;
  /// A commit ended with Errc::busy because the disk takes long, and may still be done. Until
  /// `outcome` has told, every other one ends so too.
  [[nodiscard]] virtual bool in_doubt() const { return false; }
  /// What became of that commit, once; nothing while nobody knows.
  virtual std::optional<Outcome> outcome() { return std::nullopt; }
  virtual Result<std::optional<std::string>> progress() = 0;
  /// What is recorded may be older than what runs: the ledger is damaged, and nothing proves that
  /// its last commit is there.
  [[nodiscard]] virtual bool stale() const { return false; }
};

/// Opens or creates `state_dir`/ledger.db, checks it (quick_check, chain head against HEAD),
/// migrates. Errors: ledger_corrupt, ledger_truncated, io, perm.
[[nodiscard]] Result<std::unique_ptr<Ledger>> open_ledger(const std::filesystem::path& state_dir);
/// For a ledger that `open_ledger` refused with ledger_corrupt or ledger_truncated: what can be
/// read is read, else the newest backup, else it is empty; every commit fails with `why`, so that
/// the agent can go on supervising what runs. Where the chain is whole, it is believed and not the
/// tables; where the state of the engine is not the one that HEAD or the chain names, `running`,
/// what is on the host, decides.
[[nodiscard]] Result<std::unique_ptr<Ledger>> open_damaged_ledger(
    const std::filesystem::path& state_dir, const Error& why,
    const std::vector<plan::ObservedInstance>& running);
/// Errors: not_found when there is no ledger yet.
[[nodiscard]] Result<std::unique_ptr<Reader>> open_reader(const std::filesystem::path& state_dir);

}  // namespace holdfast::deploy::ledger
