#pragma once
/// \file
/// Reads tar archives as layers use them: ustar, PAX (with SCHILY and LIBARCHIVE xattrs), GNU long
/// names, and the four sparse formats. POSIX pax(1); GNU tar manual, "Tar Internals";
/// packaging/doc/security.md 2.3, 2.5.

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "agent/worker/unpack/byte_source.hpp"
#include "agent/worker/unpack/tar_entry.hpp"
#include "common/base/result.hpp"

namespace holdfast::agent::worker::unpack {

struct TarLimits {
  std::uint64_t entries = 1'000'000;
  std::uint64_t file_bytes = ~std::uint64_t{0};  ///< of one file
  std::size_t path_bytes = 4096;
  std::size_t extended_header_bytes = 1U << 20;
  std::size_t xattrs = 64;
  std::size_t xattr_value_bytes = 64U << 10;
  std::size_t sparse_runs = 65'536;
};

/// Pull parser over a ByteSource. Not thread safe. After an error nothing more may be asked of it.
class TarReader {
 public:
  TarReader(ByteSource& source, const TarLimits& limits) : source_(source), limits_(limits) {}

  /// The next member, skipping what is left of the current one; empty at the end of the archive.
  /// Errors: layer_corrupt (form, truncation), layer_limit, and those of the source.
  [[nodiscard]] Result<std::optional<Entry>> next();

  /// Stored bytes of the current member not yet consumed.
  [[nodiscard]] std::uint64_t data_left() const noexcept { return data_left_; }
  /// The next piece of the member's data; never empty while `data_left()` is not 0.
  [[nodiscard]] Result<std::span<const std::byte>> data();
  void consume(std::size_t count);

  /// Reads to the end of the stream: what follows the archive belongs to the diff_id
  /// (packaging/doc/security.md 2.1).
  [[nodiscard]] Status drain();

  [[nodiscard]] std::uint64_t entries() const noexcept { return entries_; }

 private:
  using Block = std::array<std::byte, 512>;
  using Records = std::map<std::string, std::string, std::less<>>;
  /// What extended headers said about the next member.
  struct Pending {
    Records records;
    std::vector<Xattr> xattrs;
    std::vector<SparseRun> runs;  ///< PAX sparse format 0.0, where the keys repeat
    bool run_open = false;        ///< the last of `runs` has no length yet
    std::optional<std::string> long_name;
    std::optional<std::string> long_link;
    std::string headers;  ///< types of the extended headers so far, in their order
  };

  Result<bool> read_block(Block& block);
  Status read_exactly(std::span<std::byte> to);
  Result<std::string> read_text(std::uint64_t size);
  Status skip_member();
  Status parse_pax(std::string_view text, Pending& pending) const;
  Status check_global(std::string_view text) const;
  Status store_record(std::string_view key, std::string_view value, Pending& pending) const;
  Status store_xattr(Xattr xattr, Pending& pending) const;
  Result<bool> extended_header(char type, std::uint64_t size, Pending& pending);
  Result<Entry> member(const Block& block, char type, std::uint64_t size, Pending pending);
  Status apply_names(const Block& block, Entry& entry, Pending& pending) const;
  Status apply_records(Entry& entry, std::uint64_t& size, Pending& pending) const;
  /// How a PAX header describes a sparse file: not at all, keys that repeat (0.0), one key (0.1),
  /// or numbers before the data (1.0).
  enum class SparseFormat : std::uint8_t { none, list, map, in_data };

  static Result<SparseFormat> sparse_format(char type, EntryType kind, const Pending& pending);
  static Status check_old_gnu_sparse(char type, const Block& block);
  Status old_gnu_sparse(const Block& block, Entry& entry);
  Status pax_sparse(Entry& entry, SparseFormat format, Pending& pending);
  Status sparse_map(std::string_view map, Entry& entry) const;
  Status sparse_map_in_data(Entry& entry);
  Status check_runs(Entry& entry) const;

  ByteSource& source_;
  TarLimits limits_;
  std::uint64_t entries_ = 0;
  std::uint64_t data_left_ = 0;
  std::uint64_t padding_ = 0;
  bool ended_ = false;
};

}  // namespace holdfast::agent::worker::unpack
