#include "common/os/disk_floor.hpp"

#include <fmt/format.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>

#include "common/base/text.hpp"

namespace holdfast::os {

DiskReserve reserve_of(const struct statvfs& disk) {
  constexpr std::uint64_t kPart = 20;
  constexpr std::uint64_t kMostBytes = 1ULL << 30;
  constexpr std::uint64_t kMostInodes = 10'000;
  return {.bytes = std::min<std::uint64_t>(disk.f_blocks * disk.f_frsize / kPart, kMostBytes),
          .inodes = std::min<std::uint64_t>(disk.f_files / kPart, kMostInodes)};
}

Result<DiskReserve> disk_reserve(int fd) {
  struct statvfs info {};
  if (fstatvfs(fd, &info) != 0) return errno_error(errno, "size of the disk");
  return reserve_of(info);
}

Status DiskFloor::count(std::uint64_t bytes, std::uint64_t inodes) {
  constexpr std::uint64_t kBytes = 1U << 20;
  constexpr std::uint64_t kInodes = 32;
  bytes_ += bytes;
  inodes_ += inodes;
  if (bytes_ < kBytes && inodes_ < kInodes) return ok();
  bytes_ = 0;
  inodes_ = 0;
  struct statfs info {};
  if (fstatfs(fd_, &info) != 0) return errno_error(errno, "free space of the disk");
  const auto free = static_cast<std::uint64_t>(info.f_bavail) *
                    static_cast<std::uint64_t>(info.f_frsize != 0 ? info.f_frsize : info.f_bsize);
  if (free < keep_.bytes)
    return Error{Errc::nospace, fmt::format("the disk has {} left, and {} are kept for the ledger "
                                            "and what runs",
                                            human_bytes(free), human_bytes(keep_.bytes))};
  const auto left = static_cast<std::uint64_t>(info.f_ffree);
  if (keep_.inodes > 0 && left < keep_.inodes)
    return Error{Errc::nospace, fmt::format("the disk has {} inodes left, and {} are kept for the "
                                            "ledger and what runs",
                                            left, keep_.inodes)};
  return ok();
}

}  // namespace holdfast::os
