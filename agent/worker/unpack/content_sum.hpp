#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <unordered_map>
#include <vector>

#include "deploy/image/layers/tree_digest.hpp"

namespace holdfast::agent::worker::unpack {

/// CRC-64 (ECMA-182, reflected) of data that follows data with the sum `before`; 0 for none. It
/// finds damage, not malice: who can write to a layer can write to its record too. Ten times as
/// fast as a cryptographic sum, which would slow down every pull.
[[nodiscard]] std::uint64_t add_to_sum(std::uint64_t before, std::span<const std::byte> data);
/// The same for `count` zero bytes, in a time that does not grow with them.
[[nodiscard]] std::uint64_t add_zeros_to_sum(std::uint64_t before, std::uint64_t count);

/// Sums of files by inode, as they were written.
using SumsByInode = std::unordered_map<std::uint64_t, std::uint64_t>;

/// Reads files. `rest` is called after each piece with all bytes read so far, and may wait.
class FileReader {
 public:
  explicit FileReader(std::function<void(std::uint64_t)> rest) : rest_(std::move(rest)) {}
  /// From the disk where the kernel allows that, not from its cache. What a sparse file does not
  /// store is counted as zeros and not read. Errors: by errno.
  [[nodiscard]] Result<std::uint64_t> sum(int directory, const char* name);
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  Result<std::uint64_t> stretch(int fd, std::uint64_t before, std::uint64_t from, std::uint64_t to);

  std::function<void(std::uint64_t)> rest_;
  std::uint64_t bytes_ = 0;
  std::vector<std::byte> piece_;
};

/// What `tree_digest` asks for. A file of several names is read once: a thousand hard links to a
/// large file would cost a thousand times its size.
class SummingReader {
 public:
  /// `known`: what need not be read at all.
  SummingReader(std::function<void(std::uint64_t)> rest, SumsByInode known)
      : reader_(std::move(rest)), known_(std::move(known)) {}
  /// Errors: by errno.
  [[nodiscard]] Result<std::uint64_t> operator()(int directory, const char* name,
                                                 const struct stat& info);
  [[nodiscard]] std::uint64_t bytes() const noexcept { return reader_.bytes(); }

 private:
  FileReader reader_;
  SumsByInode known_;
};

}  // namespace holdfast::agent::worker::unpack
