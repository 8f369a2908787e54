#pragma once
#include <filesystem>
#include <optional>

#include "common/base/result.hpp"
#include "common/db/db.hpp"
#include "deploy/ledger/anchor.hpp"
#include "deploy/ledger/ledger.hpp"
#include "deploy/ledger/tables.hpp"

namespace holdfast::deploy::ledger {

/// Hash before the first entry.
[[nodiscard]] const std::string& genesis();

/// What to do about a damaged ledger.
inline constexpr const char* kRecoverHint =
    "holdfast ledger recover --dry-run shows what a recovery keeps; what runs keeps running";

/// What the whole chain says about itself and about the anchor.
struct Check {
  Verification report;
  std::uint64_t commits = 0;
  Tables told{};  ///< what the entries say of the tables
  bool tables_differ =
      false;                  ///< the fault is that tables or documents are not what the chain says
  bool chain_whole = true;    ///< up to its end, and HEAD's entry is in it: `told` is all there was
  std::optional<Errc> fault;  ///< ledger_corrupt or ledger_truncated; text in report.fault
};

enum class Depth : std::uint8_t {
  opening,  ///< numbers, hashes, anchor: about 2 µs an entry; tables and documents against the
            ///< chain
  content,  ///< also that every entry can be read
};

/// The end of the file, as `compare_last` wants it. Errors: of the database; ledger_corrupt when an
/// entry after the anchor's cannot be read.
[[nodiscard]] Result<LastCommit> read_last_commit(db::Db& db, const Anchor& anchor);

/// Walks the chain in one read transaction. `anchor` must have been read before.
[[nodiscard]] Result<Check> check_chain(db::Db& db, const std::optional<Anchor>& anchor,
                                        Depth depth);
/// The whole content against HEAD, while an agent may commit: what does not fit a HEAD that has
/// moved meanwhile is looked at again, 50 times at most. A HEAD that cannot be read counts as none.
[[nodiscard]] Result<Check> check_beside_writer(db::Db& db, const std::filesystem::path& state_dir);

}  // namespace holdfast::deploy::ledger
