#include "common/os/disk_space.hpp"

#include <sys/statvfs.h>

#include <cerrno>

namespace holdfast::os {

Result<DiskSpace> read_disk_space(const std::filesystem::path& path) {
  struct statvfs volume {};
  if (::statvfs(path.c_str(), &volume) != 0)
    return errno_error(errno, "look at the file system of " + path.string());
  return DiskSpace{.free_bytes = std::uint64_t{volume.f_bavail} * volume.f_frsize,
                   .size_bytes = std::uint64_t{volume.f_blocks} * volume.f_frsize};
}

}  // namespace holdfast::os
