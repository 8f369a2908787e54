#pragma once
/// \file
/// How much room a file system has.

#include <cstdint>
#include <filesystem>

#include "common/base/result.hpp"

namespace holdfast::os {

struct DiskSpace {
  std::uint64_t free_bytes = 0;  ///< for who is not root: what root keeps in reserve is not counted
  std::uint64_t size_bytes = 0;
  bool operator==(const DiskSpace&) const = default;
};

/// statvfs(3) of the file system that `path` lies on. A network file system may hang. Errors: by
/// errno.
[[nodiscard]] Result<DiskSpace> read_disk_space(const std::filesystem::path& path);

}  // namespace holdfast::os
