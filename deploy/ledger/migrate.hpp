#pragma once
#include <filesystem>
#include <span>
#include <string_view>

#include "common/base/result.hpp"
#include "common/db/db.hpp"

namespace holdfast::deploy::ledger {

/// One version of the tables. Versions count from 1 without gaps.
struct Migration {
  int version;
  std::string_view forward;
  std::string_view backward;  ///< to the version before; empty: there is no way back
};

/// What this program knows.
[[nodiscard]] std::span<const Migration> migrations();

/// Brings `db` to the last version of `known`, each step in a transaction of its own, and stores
/// the way back with it. A file that is newer than `known` is first copied to `<path>.v<version>`
/// and then taken back by the scripts stored in it. Errors: conflict when a newer file holds no way
/// back (nothing is written then), and those of Db.
[[nodiscard]] Status migrate(db::Db& db, std::span<const Migration> known,
                             const std::filesystem::path& path);

}  // namespace holdfast::deploy::ledger
