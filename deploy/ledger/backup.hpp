#pragma once
/// \file
/// Copies of the ledger, `<state_dir>/ledger.backup/<number>-<commits>/`, each with its database
/// and its HEAD.

#include <cstdint>
#include <filesystem>
#include <vector>

#include "common/base/result.hpp"
#include "deploy/ledger/ledger.hpp"

namespace holdfast::deploy::ledger {

inline constexpr std::size_t kBackups = 3;
/// All together; the newest one is kept whatever its size.
inline constexpr std::uint64_t kBackupBytes = 64ULL << 20;

/// Copies the ledger through a connection of its own, checks the copy, makes it durable, and
/// removes the oldest ones. The writer is not waited for and does not wait. Repeat safe: nothing is
/// copied when the newest copy is of the same commit. Errors: nospace (before anything is written,
/// when little is free), ledger_corrupt (the ledger is not whole: former copies stay), not_found,
/// io.
[[nodiscard]] Result<Head> back_up(const std::filesystem::path& state_dir);

/// Whether the copy in a directory is whole, by its content and its own HEAD.
[[nodiscard]] bool is_whole(const std::filesystem::path& copy);

/// Directories of the copies, newest first, whole or not.
[[nodiscard]] std::vector<std::filesystem::path> backups(const std::filesystem::path& state_dir);

}  // namespace holdfast::deploy::ledger
