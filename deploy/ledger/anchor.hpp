#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>

#include "common/base/result.hpp"
#include "deploy/ledger/ledger.hpp"

namespace holdfast::deploy::ledger {

/// The anchor beside the database, `<state_dir>/HEAD`: "<number> <hash> <commits> <progress>\n".
/// Written after the commit it names and before the next, so it may lag by one, and never leads.
struct Anchor {
  Head head;
  std::uint64_t commits = 0;
  std::string progress{};  ///< `progress_digest` after that commit; empty: not known
  bool operator==(const Anchor&) const = default;
};

/// SHA-256 of the engine's state, which the chain does not hold; 64 hex digits.
[[nodiscard]] std::string progress_digest(const std::optional<std::string>& progress);

/// Nothing when there is no such file. Errors: ledger_corrupt when it is not an anchor, io.
[[nodiscard]] Result<std::optional<Anchor>> read_anchor(const std::filesystem::path& state_dir);
/// Atomic and durable. Errors: nospace, io, perm.
[[nodiscard]] Status write_anchor(const std::filesystem::path& state_dir, const Anchor& anchor);

}  // namespace holdfast::deploy::ledger
