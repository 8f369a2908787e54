#include "common/os/sparse.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "common/os/file.hpp"

namespace holdfast::os {
namespace {

Status write_at(int fd, std::string_view data, std::uint64_t at) {
  while (!data.empty()) {
    const ssize_t wrote = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(at));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return errno_error(errno, "write");
    data.remove_prefix(static_cast<std::size_t>(wrote));
    at += static_cast<std::uint64_t>(wrote);
  }
  return ok();
}

}  // namespace

Result<Stored> next_stored(int fd, std::uint64_t from, std::uint64_t size) {
  const off_t begin = lseek(fd, static_cast<off_t>(from), SEEK_DATA);
  if (begin < 0 && errno == ENXIO) return Stored{size, size};
  if (begin < 0 && errno == EINVAL) return Stored{from, size};  // a file system without holes
  const off_t end = begin < 0 ? -1 : lseek(fd, begin, SEEK_HOLE);
  if (end < 0) return errno_error(errno, "look for data");
  return Stored{std::min(static_cast<std::uint64_t>(begin), size),
                std::min(static_cast<std::uint64_t>(end), size)};
}

Status copy_sparse(int from, int to, std::uint64_t size, DiskFloor& floor,
                   const std::stop_token& stop) {
  std::array<char, 64U << 10> buffer;
  if (::ftruncate(to, static_cast<off_t>(size)) != 0) return errno_error(errno, "set the size");
  for (std::uint64_t at = 0; at < size;) {
    HF_ASSIGN(const Stored stored, next_stored(from, at, size));
    for (at = stored.begin; at < stored.end;) {
      if (stop.stop_requested()) return Error{Errc::cancelled, "copy"};
      const auto most =
          static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), stored.end - at));
      const ssize_t got = ::pread(from, buffer.data(), most, static_cast<off_t>(at));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return errno_error(errno, "read");
      if (got == 0) return Error{Errc::io, "a file became shorter while it was copied"};
      HF_TRY(floor.count(static_cast<std::uint64_t>(got), 0));
      HF_TRY(write_at(to, {buffer.data(), static_cast<std::size_t>(got)}, at));
      at += static_cast<std::uint64_t>(got);
    }
  }
  return ok();
}

}  // namespace holdfast::os
