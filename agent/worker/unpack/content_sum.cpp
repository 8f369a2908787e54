#include "agent/worker/unpack/content_sum.hpp"

#include <fcntl.h>
#include <isa-l/crc64.h>
#include <unistd.h>

#include <cerrno>

#include "common/os/unique_fd.hpp"

namespace holdfast::agent::worker::unpack {
namespace {
constexpr std::size_t kSumPiece = 256U << 10;
}

std::uint64_t add_to_sum(std::uint64_t before, std::span<const std::byte> data) {
  if (data.empty()) return before;
  return crc64_ecma_refl(before, reinterpret_cast<const unsigned char*>(data.data()), data.size());
}

Result<std::uint64_t> FileReader::sum(int directory, const char* name) {
  const os::UniqueFd fd{openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
  if (!fd) return errno_error(errno, "open");
  (void)posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
  (void)posix_fadvise(fd.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  if (piece_.empty()) piece_.resize(kSumPiece);
  std::uint64_t sum = 0;
  for (;;) {
    const ssize_t got = ::read(fd.get(), piece_.data(), piece_.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, "read");
    if (got == 0) break;
    sum = add_to_sum(sum, std::span{piece_}.first(static_cast<std::size_t>(got)));
    bytes_ += static_cast<std::uint64_t>(got);
    if (rest_) rest_(bytes_);
  }
  // What is running keeps what it has mapped; everything else would only push its pages out.
  (void)posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
  return sum;
}

}  // namespace holdfast::agent::worker::unpack
