#pragma once
/// \file
/// Named volumes: made once, from what the image has at the place where they are mounted.

#include <filesystem>
#include <stop_token>
#include <string>

#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"
#include "deploy/runtime/spec/user.hpp"

namespace holdfast::deploy::runtime {

/// What the image has at `target`: an open directory; none where it has no directory there.
[[nodiscard]] Result<os::UniqueFd> volume_content(int root, const std::string& target);

struct VolumeBounds {
  std::size_t entries = 1'000'000;
  int levels = 64;  ///< of directories below the volume
};

struct NewVolume {
  std::filesystem::path path;
  int content = -1;  ///< a directory to copy, as Docker and Podman do; -1: none
  const User& user;
  VolumeBounds bounds{};  ///< of what is copied
  std::stop_token stop{};
};

/// Makes the volume beside its place and renames it there, so that a volume that exists is
/// complete; what an earlier try left goes first. Content, owners, modes and links are the image's;
/// an empty directory of root's, and none, becomes one of the user. Directories, files and symlinks
/// only; within `bounds` and above the disk's reserve; a hole stays one. A volume that is there
/// stays as it is; of one that fails nothing is left. Blocks, thread safe; volumes of other names
/// do not wait. Errors: runtime (a bound), nospace, cancelled, io.
[[nodiscard]] Status make_volume(const NewVolume& wanted);

}  // namespace holdfast::deploy::runtime
