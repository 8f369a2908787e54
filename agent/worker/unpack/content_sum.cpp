#include "agent/worker/unpack/content_sum.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "agent/worker/unpack/crc64.hpp"
#include "common/os/sparse.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::agent::worker::unpack {
namespace {

constexpr std::size_t kSumPiece = 256U << 10;

/// What a CRC register becomes, by each of its bits: a matrix over GF(2).
using Step = std::array<std::uint64_t, 64>;

std::uint64_t applied(const Step& step, std::uint64_t sum) {
  std::uint64_t out = 0;
  for (std::size_t bit = 0; sum != 0; ++bit, sum >>= 1U) {
    if ((sum & 1U) != 0) out ^= step[bit];
  }
  return out;
}

Step twice(const Step& step) {
  Step out;
  for (std::size_t bit = 0; bit < out.size(); ++bit) out[bit] = applied(step, step[bit]);
  return out;
}

/// The steps over 1, 2, 4, 8 … zero bytes, as zlib's crc32_combine makes them.
std::array<Step, 64> zero_steps() {
  Step bit;
  bit[0] = kCrc64Polynomial;
  for (std::size_t i = 1; i < bit.size(); ++i) bit[i] = std::uint64_t{1} << (i - 1);
  std::array<Step, 64> steps;
  steps[0] = twice(twice(twice(bit)));
  for (std::size_t i = 1; i < steps.size(); ++i) steps[i] = twice(steps[i - 1]);
  return steps;
}

}  // namespace

std::uint64_t add_to_sum(std::uint64_t before, std::span<const std::byte> data) {
  if (data.empty()) return before;
  return crc64(before, data);
}

std::uint64_t add_zeros_to_sum(std::uint64_t before, std::uint64_t count) {
  static const auto kSteps = zero_steps();
  std::uint64_t sum = ~before;
  for (std::size_t bit = 0; count != 0; ++bit, count >>= 1U) {
    if ((count & 1U) != 0) sum = applied(kSteps[bit], sum);
  }
  return ~sum;
}

Result<std::uint64_t> FileReader::sum(int directory, const char* name) {
  const os::UniqueFd fd{openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
  if (!fd) return errno_error(errno, "open");
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return errno_error(errno, "stat");
  (void)posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
  (void)posix_fadvise(fd.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  const auto size = static_cast<std::uint64_t>(info.st_size);
  std::uint64_t sum = 0;
  for (std::uint64_t at = 0; at < size;) {
    HF_ASSIGN(const os::Stored stored, os::next_stored(fd.get(), at, size));
    sum = add_zeros_to_sum(sum, stored.begin - at);
    HF_ASSIGN(sum, stretch(fd.get(), sum, stored.begin, stored.end));
    at = stored.end;
  }
  // What is running keeps what it has mapped; everything else would only push its pages out.
  (void)posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
  return sum;
}

/// Reads what is stored at [from, to). A file that ends before is summed as far as it goes.
Result<std::uint64_t> FileReader::stretch(int fd, std::uint64_t before, std::uint64_t from,
                                          std::uint64_t to) {
  if (piece_.empty()) piece_.resize(kSumPiece);
  std::uint64_t sum = before;
  while (from < to) {
    const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(piece_.size(), to - from));
    const ssize_t got = ::pread(fd, piece_.data(), most, static_cast<off_t>(from));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, "read");
    if (got == 0) break;
    sum = add_to_sum(sum, std::span{piece_}.first(static_cast<std::size_t>(got)));
    from += static_cast<std::uint64_t>(got);
    bytes_ += static_cast<std::uint64_t>(got);
    if (rest_) rest_(bytes_);
  }
  return sum;
}

Result<std::uint64_t> SummingReader::operator()(int directory, const char* name,
                                                const struct stat& info) {
  if (info.st_size == 0) return std::uint64_t{0};
  if (const auto known = known_.find(info.st_ino); known != known_.end()) return known->second;
  HF_ASSIGN(const auto sum, reader_.sum(directory, name));
  if (info.st_nlink > 1) known_[info.st_ino] = sum;
  return sum;
}

}  // namespace holdfast::agent::worker::unpack
