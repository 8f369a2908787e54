#pragma once
/// \file
/// Paths of which it matters who can replace what they lead to.

#include <sys/stat.h>

#include <filesystem>
#include <functional>
#include <string>

#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::os {

/// Says whether one part of a path is good: "/a", then "/a/b". A link is judged, never followed.
using JudgePart = std::function<Status(const std::string& part, const struct stat& info)>;

/// Opens an absolute, clean path (O_PATH) part by part, each relative to the one before and none
/// through a symlink, so that what was judged is what is opened whoever renames meanwhile. "/" is
/// not judged. Blocks like open(2). Thread safe. Errors: those of `judge`; not_found, perm, io.
[[nodiscard]] Result<UniqueFd> open_guarded(const std::string& path, const JudgePart& judge);

/// Nobody but root (or who runs this) may write it or, for a directory, replace what is in it; a
/// sticky directory lets nobody replace what is another's. Errors: perm, with the command that
/// mends it.
[[nodiscard]] Status check_only_root_writes(const std::string& part, const struct stat& info);

/// The text of a regular file that nobody but root (or who runs this) can have written or put
/// there: `check_only_root_writes` holds for it, for each directory above it, and for each link on
/// the way and what that leads to. `path` may be relative. Blocks like read(2) of a file. Thread
/// safe. Errors: perm, naming the part that is at fault and the command that mends it; not_found,
/// io, too_large.
[[nodiscard]] Result<std::string> read_trusted(const std::filesystem::path& path,
                                               std::size_t limit);

struct Claimed {
  mode_t before = 0;  ///< permission bits it had; 0: it was made
};

/// Makes a directory of the agent's own safe to believe: creates it with `most` where it is
/// missing, takes away bits beyond `most`, and refuses what cannot be mended: a symlink on the way
/// or in its place, a directory above it that others may write, another owner of it, and entries of
/// other owners (links too) where others could write it before. Repeat safe. Errors: perm, naming
/// the part that is at fault and the command that mends it; io, nospace.
[[nodiscard]] Result<Claimed> claim_directory(const std::filesystem::path& path, mode_t most);

}  // namespace holdfast::os
