#pragma once
#include <sys/statvfs.h>

#include <cstdint>

#include "common/base/result.hpp"

namespace holdfast::os {

/// What a disk keeps for the ledger and for what runs, whatever foreign bytes are written to it.
struct DiskReserve {
  std::uint64_t bytes = 0;   ///< 5 %, at most 1 GiB
  std::uint64_t inodes = 0;  ///< 5 %, at most 10,000; 0 where the file system does not count them
};
[[nodiscard]] DiskReserve reserve_of(const struct statvfs& disk);
/// Of the file system of an open file. Errors: io.
[[nodiscard]] Result<DiskReserve> disk_reserve(int fd);

/// Holds whoever writes foreign bytes to the reserve. Others write beside it: what was free at the
/// beginning says little, so it is asked again after every MiB and 32 inodes. Not thread safe.
class DiskFloor {
 public:
  /// `fd`: borrowed, on the file system. 0 of both: no floor.
  DiskFloor(int fd, DiskReserve keep) : fd_(fd), keep_(keep) {}

  /// Errors: nospace when less is free than is kept; io.
  [[nodiscard]] Status count(std::uint64_t bytes, std::uint64_t inodes);

 private:
  int fd_;
  DiskReserve keep_;
  std::uint64_t bytes_ = 0;  ///< since it was asked
  std::uint64_t inodes_ = 0;
};

}  // namespace holdfast::os
