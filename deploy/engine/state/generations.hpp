#pragma once
/// \file
/// Generations and their documents, as the engine holds them in memory.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "deploy/engine/state/attention.hpp"
#include "deploy/engine/state/candidate.hpp"
#include "deploy/engine/state/ports.hpp"
#include "deploy/ledger/ledger.hpp"
#include "deploy/plan/model/state.hpp"

namespace holdfast::deploy::engine {

using plan::GenerationId;

/// A bounded number of them: the newest, and those that somebody may go back to; the ledger has the
/// rest. Documents are parsed by jobs, as everything that others wrote (deploy/README.md). Not
/// thread safe.
class Generations {
 public:
  using Document = std::shared_ptr<const proto::Deployment>;

  /// All three outlive it.
  Generations(ledger::Reader& ledger, Jobs& jobs, Attention& attention)
      : ledger_(ledger), jobs_(jobs), attention_(attention) {}

  /// Errors: those of the ledger.
  [[nodiscard]] Status load();

  [[nodiscard]] const std::vector<ledger::Generation>& rows() const {
    return rows_;
  }                                                          ///< newest first
  [[nodiscard]] bool complete() const { return complete_; }  ///< false: the ledger holds older ones
  [[nodiscard]] GenerationId next() const;  ///< number of the next one to be accepted
  /// Null when it is not held in memory.
  [[nodiscard]] const ledger::Generation* find(GenerationId id) const;
  /// The newest that `actor` asked for; null without one.
  [[nodiscard]] const ledger::Generation* newest_of(const std::string& actor) const;
  [[nodiscard]] const ledger::Generation* newest_of(const proto::Digest& spec_digest) const;
  /// Grows whenever something listed changes.
  [[nodiscard]] std::uint64_t revision() const { return revision_; }

  /// Null when it is not in memory.
  [[nodiscard]] Document document(GenerationId id) const;
  void remember(GenerationId id, proto::Deployment document);
  void forget_document(GenerationId id);
  /// Reads it now, unless it is in memory: before the engine runs. What cannot be read, the log
  /// says.
  void read_document(GenerationId id);
  /// A job reads it, unless it is in memory or was found unreadable; the pass after that has it.
  void fetch_document(GenerationId id) { fetch_document(id, {}); }
  /// Calls `then` on the engine thread when the document is in memory, or will not be: at once
  /// where nothing is to be read.
  void with_document(GenerationId id, std::function<void()> then);
  /// Calls `then` on the engine thread when no document is on its way.
  void when_all_read(std::function<void()> then);
  [[nodiscard]] bool reading() const { return !reading_.empty(); }
  /// What was found unreadable may be tried again.
  void retry_unreadable() { unreadable_.clear(); }

  void add(const ledger::NewGeneration& made);
  void set_results(const std::vector<ledger::ResultChange>& changes);
  /// Drops old rows beyond the newest 64, but for those `in_use`, and of the good ones the `retain`
  /// newest that are quarantined and the `retain` newest that are not.
  void forget_old(const std::set<GenerationId>& in_use,
                  const std::function<bool(const proto::Digest&)>& quarantined,
                  std::uint32_t retain);

  /// Time zones that the windows of the documents seen so far name.
  [[nodiscard]] const plan::Zones& zones() const { return zones_; }
  void add_zones(plan::Zones zones) { zones_.merge(zones); }

 private:
  using Then = std::function<void()>;
  void fetch_document(GenerationId id, Then then);
  [[nodiscard]] std::optional<std::string> text(GenerationId id);
  void read(GenerationId id, StoredDocument document);

  ledger::Reader& ledger_;
  Jobs& jobs_;
  Attention& attention_;
  std::vector<ledger::Generation> rows_;
  bool complete_ = true;
  std::uint64_t revision_ = 0;
  std::map<GenerationId, Document> documents_;
  std::map<GenerationId, std::vector<Then>> reading_;  ///< by a job; who waits for it
  std::vector<Then> when_all_read_;
  std::set<GenerationId> unreadable_;
  plan::Zones zones_;
};

}  // namespace holdfast::deploy::engine
