#pragma once
/// \file
/// Files of the host that become secrets or configs of a service.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/result.hpp"

namespace holdfast::deploy::runtime {

inline constexpr std::size_t kMaxHostFile = 1U << 20;  ///< bytes

enum class HostFileUse : std::uint8_t {
  secret,  ///< who may have written it decides
  config,  ///< the document pins its digest, so who may have written it does not matter
};

/// Which files may become what.
struct HostFileRule {
  HostFileUse use = HostFileUse::secret;
  /// Prefixes (`policy.allowed_secret_paths`): only files below them, whoever owns them. Empty: any
  /// file, a secret's only where nobody but root can write or replace it; besides the built-in
  /// refusals.
  std::vector<std::string> allowed;
  std::vector<std::string> refused;  ///< the agent's own files and directories
};

/// Whether `path` could be read by this rule: it is not one of the host's own places, no part of it
/// is a symlink, it ends at a regular file of at most `kMaxHostFile` bytes, and for a secret that
/// is not below an allowed prefix, the file and every directory on the way belong to root and
/// nobody else may write them (a sticky directory is one where others cannot replace what is
/// root's). Nothing is opened for reading. Errors: not_found, policy, too_large, io, each naming
/// the part that is at fault and the next step.
[[nodiscard]] Status check_host_file(const std::string& path, const HostFileRule& rule);

/// The content, by the same rule: what was checked is what is read, whoever renames meanwhile.
/// Opening never waits for a FIFO or a device. Not for the engine thread: a network file system may
/// hang. Errors: as above.
[[nodiscard]] Result<std::string> read_host_file(const std::string& path, const HostFileRule& rule);

}  // namespace holdfast::deploy::runtime
