#include "agent/worker/unpack/disk_floor.hpp"

#include <fmt/format.h>
#include <sys/vfs.h>

#include <cerrno>

#include "common/base/text.hpp"

namespace holdfast::agent::worker::unpack {

Status DiskFloor::count(std::uint64_t bytes, std::uint64_t inodes) {
  constexpr std::uint64_t kBytes = 1U << 20;
  constexpr std::uint64_t kInodes = 32;
  bytes_ += bytes;
  inodes_ += inodes;
  if (bytes_ < kBytes && inodes_ < kInodes) return ok();
  bytes_ = 0;
  inodes_ = 0;
  struct statfs info {};
  if (fstatfs(fd_, &info) != 0) return errno_error(errno, "free space of the layer's disk");
  const auto free = static_cast<std::uint64_t>(info.f_bavail) *
                    static_cast<std::uint64_t>(info.f_frsize != 0 ? info.f_frsize : info.f_bsize);
  if (free < keep_bytes_)
    return Error{Errc::nospace, fmt::format("the disk has {} left, and {} are kept for the ledger "
                                            "and what runs",
                                            human_bytes(free), human_bytes(keep_bytes_))};
  const auto left = static_cast<std::uint64_t>(info.f_ffree);
  if (keep_inodes_ > 0 && left < keep_inodes_)
    return Error{Errc::nospace, fmt::format("the disk has {} inodes left, and {} are kept for the "
                                            "ledger and what runs",
                                            left, keep_inodes_)};
  return ok();
}

}  // namespace holdfast::agent::worker::unpack
