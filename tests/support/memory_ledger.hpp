#pragma once
/// \file
/// A ledger that outlives agents but not the process: for tests that need thousands of them. The
/// chain is real, so `verify` means something; nothing is written to a disk.

#include <map>
#include <string>
#include <vector>

#include "deploy/ledger/ledger.hpp"
#include "deploy/ledger/tables.hpp"

namespace holdfast::test {

class MemoryLedger final : public deploy::ledger::Ledger {
 public:
  Result<std::vector<deploy::ledger::Generation>> generations() override;
  Result<std::string> document(const proto::Digest& spec_digest) override;
  Result<std::vector<deploy::ledger::NumberedEntry>> entries(std::uint64_t after,
                                                             std::size_t limit) override;
  Result<std::vector<deploy::ledger::NumberedEntry>> entries_of(
      deploy::plan::GenerationId id) override;
  Result<std::vector<deploy::ledger::Quarantine>> quarantine() override;
  Result<deploy::ledger::Head> head() override { return head_; }
  Result<deploy::ledger::Verification> verify() override;
  Result<deploy::ledger::Head> commit(const deploy::ledger::Batch& batch) override;
  Result<std::optional<std::string>> progress() override { return progress_; }

  [[nodiscard]] bool stale() const override { return behind; }
  [[nodiscard]] bool in_doubt() const override { return pending_.has_value(); }
  std::optional<deploy::ledger::Outcome> outcome() override;

  std::optional<Error> fault;  ///< while set, nothing is taken
  bool behind = false;         ///< it may be older than what runs
  bool slow = false;           ///< while set, a commit is left in doubt

 private:
  [[nodiscard]] Status check(const deploy::ledger::Batch& batch) const;
  [[nodiscard]] proto::Entry sealed(const proto::Entry& entry, const deploy::ledger::Batch& batch,
                                    const std::string& tables) const;

  deploy::ledger::Tables tables_;
  std::map<proto::Digest, std::string> documents_;
  std::vector<deploy::ledger::NumberedEntry> entries_;  ///< as people read them
  std::vector<std::string> bodies_;                     ///< as they are hashed
  std::optional<std::string> progress_;
  std::optional<deploy::ledger::Batch> pending_;
  deploy::ledger::Head head_{0, std::string(64, '0')};
};

}  // namespace holdfast::test
