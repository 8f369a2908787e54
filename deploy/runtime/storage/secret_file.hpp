#pragma once
/// \file
/// Files of the host that become secrets of a service.

#include <cstddef>
#include <string>
#include <vector>

#include "common/base/result.hpp"

namespace holdfast::deploy::runtime {

inline constexpr std::size_t kMaxSecret = 1U << 20;  ///< bytes

/// Which files may become secrets.
struct SecretFileRule {
  /// Prefixes (`policy.allowed_secret_paths`): only files below them, whoever owns them. Empty: any
  /// file that nobody but root can write or replace, besides the built-in refusals.
  std::vector<std::string> allowed;
  std::vector<std::string> refused;  ///< the agent's own directories
};

/// Whether a secret could be read from `path` by this rule: no part of it is a symlink, it ends at
/// a regular file of at most `kMaxSecret` bytes, and unless it is below an allowed prefix, the file
/// and every directory on the way belong to root and nobody else may write them (a sticky directory
/// is one where others cannot replace what is root's). Nothing is opened for reading. Errors:
/// not_found, policy, too_large, io, each naming the part that is at fault and the command that
/// mends it.
[[nodiscard]] Status check_secret_file(const std::string& path, const SecretFileRule& rule);

/// The content, by the same rule: what was checked is what is read, whoever renames meanwhile.
/// Opening never waits for a FIFO or a device. Not for the engine thread: a network file system may
/// hang. Errors: as above.
[[nodiscard]] Result<std::string> read_secret_file(const std::string& path,
                                                   const SecretFileRule& rule);

}  // namespace holdfast::deploy::runtime
