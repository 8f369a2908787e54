#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>

#include "common/base/result.hpp"
#include "deploy/ledger/ledger.hpp"

namespace holdfast::deploy::ledger {

/// The anchor beside the database, `<state_dir>/HEAD`: "<number> <hash> <commits>\n". Written after
/// the commit it names, so it may lag behind the database but never lead.
struct Anchor {
  Head head;
  std::uint64_t commits = 0;
};

/// Nothing when there is no such file. Errors: ledger_corrupt when it is not an anchor, io.
[[nodiscard]] Result<std::optional<Anchor>> read_anchor(const std::filesystem::path& state_dir);
/// Atomic and durable. Errors: nospace, io, perm.
[[nodiscard]] Status write_anchor(const std::filesystem::path& state_dir, const Anchor& anchor);

}  // namespace holdfast::deploy::ledger
