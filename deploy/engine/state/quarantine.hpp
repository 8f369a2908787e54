#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "deploy/ledger/ledger.hpp"

namespace holdfast::deploy::engine {

/// Documents, by spec digest, that must not be applied. Not thread safe.
class Quarantine {
 public:
  [[nodiscard]] const std::map<proto::Digest, ledger::Quarantine>& rows() const { return rows_; }
  /// Null when it is not quarantined.
  [[nodiscard]] const ledger::Quarantine* find(const proto::Digest& spec_digest) const;
  [[nodiscard]] bool contains(const proto::Digest& spec_digest) const {
    return rows_.contains(spec_digest);
  }
  /// What is known of why; empty when it is not quarantined.
  [[nodiscard]] std::map<std::string, std::string> evidence_of(
      const proto::Digest& spec_digest) const {
    const auto* row = find(spec_digest);
    return row == nullptr ? std::map<std::string, std::string>{} : row->evidence;
  }
  /// Grows whenever something changes.
  [[nodiscard]] std::uint64_t revision() const { return revision_; }

  void put(ledger::Quarantine row);
  void lift(const proto::Digest& spec_digest);

  /// Those that have expired at `now`.
  [[nodiscard]] std::vector<proto::Digest> ended(WallTime now) const;
  /// When the next one ends by itself, after `now`; none: no other does.
  [[nodiscard]] std::optional<WallTime> next_end(WallTime now) const;

 private:
  std::map<proto::Digest, ledger::Quarantine> rows_;
  std::uint64_t revision_ = 0;
};

}  // namespace holdfast::deploy::engine
