#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>

#include "common/base/result.hpp"
#include "deploy/ledger/ledger.hpp"

namespace holdfast::deploy::ledger {

/// The anchor beside the database, `<state_dir>/HEAD`: "<number> <hash> <commits> <progress>
/// [<before>]\n". A commit with entries is named after it and before the next: the chain covers it
/// meanwhile. One without entries is named ahead of it, with the progress that it replaces, as
/// nothing else would cover it.
struct Anchor {
  Head head;
  std::uint64_t commits = 0;
  std::string progress{};  ///< `progress_digest` after that commit; empty: not known
  std::string before{};    ///< of a commit that is named ahead: `progress_digest` before it
  bool operator==(const Anchor&) const = default;
};

/// What the file holds of its last commits.
struct LastCommit {
  Head head;
  std::uint64_t commits = 0;
  std::string progress{};  ///< `progress_digest` of what is in the file
  bool sealed = false;     ///< some entry holds the digest of the progress
  std::string told{};      ///< the digest in the newest entry after the anchor's; empty: none
};

/// How the end of a file differs from what HEAD and the chain allow.
struct LastFault {
  enum class Kind : std::uint8_t {
    older,   ///< commits that HEAD names are not there
    edited,  ///< there is what no agent wrote, or others wrote between
  };
  Kind kind = Kind::edited;
  std::string text;
};
/// The file ends with the commit that HEAD names, the one after it when it has an entry, or the one
/// before it when HEAD was written ahead. Its progress is the one that HEAD or that entry names.
/// Nothing: so it is. Pure.
[[nodiscard]] std::optional<LastFault> compare_last(const Anchor& anchor, const LastCommit& file);

/// SHA-256 of the engine's state, which the chain does not hold; 64 hex digits.
[[nodiscard]] std::string progress_digest(const std::optional<std::string>& progress);

/// Nothing when there is no such file. Errors: ledger_corrupt when it is not an anchor, io.
[[nodiscard]] Result<std::optional<Anchor>> read_anchor(const std::filesystem::path& state_dir);
/// Atomic and durable. Errors: nospace, io, perm.
[[nodiscard]] Status write_anchor(const std::filesystem::path& state_dir, const Anchor& anchor);

}  // namespace holdfast::deploy::ledger
