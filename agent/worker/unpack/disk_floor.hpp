#pragma once
#include <cstdint>

#include "common/base/result.hpp"

namespace holdfast::agent::worker::unpack {

/// What a disk keeps for others while a layer is written. Layers are unpacked beside each other,
/// and others write too: what was free at the beginning says little, so it is asked again after
/// every MiB and 32 inodes. Not thread safe.
class DiskFloor {
 public:
  /// `fd`: borrowed, on the file system. 0 of both: no floor.
  DiskFloor(int fd, std::uint64_t keep_bytes, std::uint64_t keep_inodes)
      : fd_(fd), keep_bytes_(keep_bytes), keep_inodes_(keep_inodes) {}

  /// Errors: nospace when less is free than is kept; io.
  [[nodiscard]] Status count(std::uint64_t bytes, std::uint64_t inodes);

 private:
  int fd_;
  std::uint64_t keep_bytes_;
  std::uint64_t keep_inodes_;
  std::uint64_t bytes_ = 0;  ///< since it was asked
  std::uint64_t inodes_ = 0;
};

}  // namespace holdfast::agent::worker::unpack
