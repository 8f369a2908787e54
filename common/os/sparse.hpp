#pragma once
/// \file
/// Files with holes: what is stored of them, and copies that keep the holes.

#include <cstdint>
#include <stop_token>

#include "common/base/result.hpp"
#include "common/os/disk_floor.hpp"

namespace holdfast::os {

/// A stretch of a file that is stored on disk: [begin, end).
struct Stored {
  std::uint64_t begin;
  std::uint64_t end;
};
/// The first stretch at or after `from` in a file of `size` bytes; empty at its end when only a
/// hole is left. Moves the file's offset. Errors: by errno.
[[nodiscard]] Result<Stored> next_stored(int fd, std::uint64_t from, std::uint64_t size);

/// The first `size` bytes of `from` into the empty file `to`: a hole takes no room there either. In
/// pieces of 64 KiB, between which the disk and who stops it are asked. Errors: nospace (the
/// floor), cancelled, io, by errno.
[[nodiscard]] Status copy_sparse(int from, int to, std::uint64_t size, DiskFloor& floor,
                                 const std::stop_token& stop);

}  // namespace holdfast::os
