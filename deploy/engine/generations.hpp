#pragma once
/// \file
/// Generations and their documents, as the engine holds them in memory.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "deploy/engine/ports.hpp"
#include "deploy/ledger/ledger.hpp"
#include "deploy/plan/state.hpp"

namespace holdfast::deploy::engine {

using plan::GenerationId;

/// A bounded number of them: the newest, and those that somebody may go back to; the ledger has the
/// rest. Not thread safe.
class Generations {
 public:
  using Document = std::shared_ptr<const proto::Deployment>;

  /// `ledger` outlives it; documents are read from there when they are first asked for.
  explicit Generations(ledger::Reader& ledger) : ledger_(ledger) {}

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
  [[nodiscard]] const ledger::Generation* newest_of(const Actor& actor) const;
  [[nodiscard]] const ledger::Generation* newest_of(const proto::Digest& spec_digest) const;
  /// Grows whenever something listed changes.
  [[nodiscard]] std::uint64_t revision() const { return revision_; }

  /// Null for 0, an unknown one, and one whose document cannot be read (which the log then says).
  [[nodiscard]] Document document(GenerationId id);
  void remember(GenerationId id, proto::Deployment document);
  void forget_document(GenerationId id) { documents_.erase(id); }

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
  ledger::Reader& ledger_;
  std::vector<ledger::Generation> rows_;
  bool complete_ = true;
  std::uint64_t revision_ = 0;
  std::map<GenerationId, Document> documents_;
  plan::Zones zones_;
};

}  // namespace holdfast::deploy::engine
