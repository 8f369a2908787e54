// The sparse formats of GNU tar: the old one in the header, and PAX 0.0, 0.1 and 1.0 (GNU tar
// manual, "Sparse Formats").
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "agent/worker/unpack/tar_errors.hpp"
#include "agent/worker/unpack/tar_numbers.hpp"
#include "agent/worker/unpack/tar_reader.hpp"
#include "common/base/text.hpp"

namespace holdfast::agent::worker::unpack {
namespace {

/// Old GNU descriptors: 12 bytes offset, 12 bytes length, until one is empty.
Result<bool> read_descriptors(std::span<const std::byte> from, std::size_t count,
                              std::vector<SparseRun>& runs) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto one = from.subspan(i * 24, 24);
    if (one[0] == std::byte{0} && one[12] == std::byte{0}) return false;
    HF_ASSIGN(const std::int64_t offset, header_number(one.first(12), "sparse offset"));
    HF_ASSIGN(const std::int64_t length, header_number(one.subspan(12, 12), "sparse length"));
    if (offset < 0 || length < 0) return corrupt("negative number in a sparse map");
    runs.push_back({static_cast<std::uint64_t>(offset), static_cast<std::uint64_t>(length)});
  }
  return true;
}

}  // namespace

/// Some readers obey the fields of a sparse file in every header of GNU's, and none in another.
Status TarReader::check_old_gnu_sparse(char type, const Block& block) {
  const bool gnu = std::memcmp(block.data() + 257, "ustar  \0", 8) == 0;
  const auto set = [&](std::size_t at) { return block[at] != std::byte{0}; };
  const bool described = gnu && (set(386) || set(482) || set(483));
  if (type == 'S' ? !gnu : described)
    return ambiguous("a sparse map in a header that is not of a sparse file");
  return ok();
}

Status TarReader::old_gnu_sparse(const Block& block, Entry& entry) {
  entry.sparse = true;
  HF_ASSIGN(const std::int64_t real, header_number(std::span{block}.subspan(483, 12), "real size"));
  if (real < 0) return corrupt("negative size of a sparse file");
  HF_ASSIGN(bool more, read_descriptors(std::span{block}.subspan(386), 4, entry.runs));
  bool extended = block[482] != std::byte{0};
  while (extended) {
    Block next;
    HF_TRY(read_exactly(next));
    if (more) {
      HF_ASSIGN(more, read_descriptors(next, 21, entry.runs));
    }
    if (entry.runs.size() > limits_.sparse_runs)
      return Error{Errc::layer_limit, "too many runs in a sparse file"};
    extended = next[504] != std::byte{0};
  }
  entry.size = static_cast<std::uint64_t>(real);
  return ok();
}

/// The one PAX format that describes the file, or none. Half a description, two of them, or a size
/// of another tool's format makes different files for different readers, so it is refused.
Result<TarReader::SparseFormat> TarReader::sparse_format(char type, EntryType kind,
                                                         const Pending& pending) {
  const auto& records = pending.records;
  const auto has = [&](std::string_view key) { return records.contains(key); };
  const auto is = [&](std::string_view key, std::string_view value) {
    const auto it = records.find(key);
    return it != records.end() && it->second == value;
  };
  if (has("SCHILY.realsize")) return ambiguous("a sparse file in the format of star");
  const auto first = records.lower_bound("GNU.sparse.");
  const bool described =
      !pending.runs.empty() || (first != records.end() && first->first.starts_with("GNU.sparse."));
  if (!described) return SparseFormat::none;
  if (type == 'S' || kind != EntryType::file || pending.run_open)
    return ambiguous("a sparse map that does not fit its entry");
  const bool versioned = has("GNU.sparse.major") || has("GNU.sparse.minor");
  const bool inside = is("GNU.sparse.major", "1") && is("GNU.sparse.minor", "0");
  const bool listed = !pending.runs.empty();
  const bool mapped = has("GNU.sparse.map");
  if (inside && has("GNU.sparse.realsize") && !has("GNU.sparse.size") && !mapped && !listed)
    return SparseFormat::in_data;
  if (!versioned && has("GNU.sparse.size") && !has("GNU.sparse.realsize") && mapped != listed)
    return mapped ? SparseFormat::map : SparseFormat::list;
  return ambiguous("half a sparse map, or two of them");
}

Status TarReader::pax_sparse(Entry& entry, SparseFormat format, Pending& pending) {
  if (format == SparseFormat::none) return ok();
  const auto get = [&](std::string_view key) -> std::string_view {
    const auto it = pending.records.find(key);
    return it == pending.records.end() ? std::string_view{} : std::string_view{it->second};
  };
  entry.sparse = true;
  const bool in_data = format == SparseFormat::in_data;
  const std::string_view size_key = in_data ? "GNU.sparse.realsize" : "GNU.sparse.size";
  HF_ASSIGN(const std::uint64_t real, decimal(get(size_key), size_key));
  if (in_data) HF_TRY(sparse_map_in_data(entry));
  if (format == SparseFormat::map) HF_TRY(sparse_map(get("GNU.sparse.map"), entry));
  if (format == SparseFormat::list) entry.runs = std::move(pending.runs);
  if (const auto count = get("GNU.sparse.numblocks"); !count.empty()) {
    HF_ASSIGN(const std::uint64_t runs, decimal(count, "GNU.sparse.numblocks"));
    if (runs != entry.runs.size()) return ambiguous("a sparse map of another length than it says");
  }
  entry.size = real;
  return ok();
}

Status TarReader::sparse_map(std::string_view map, Entry& entry) const {
  const auto numbers = split(map, ',');
  if (numbers.size() % 2 != 0) return corrupt("malformed sparse map");
  if (numbers.size() / 2 > limits_.sparse_runs)
    return Error{Errc::layer_limit, "too many runs in a sparse file"};
  for (std::size_t i = 0; i < numbers.size(); i += 2) {
    HF_ASSIGN(const std::uint64_t offset, decimal(numbers[i], "GNU.sparse.map"));
    HF_ASSIGN(const std::uint64_t length, decimal(numbers[i + 1], "GNU.sparse.map"));
    entry.runs.push_back({offset, length});
  }
  return ok();
}

Status TarReader::sparse_map_in_data(Entry& entry) {
  // Decimal numbers, each ended by a newline: a count, then offset and length of each run; padded
  // to a block.
  std::uint64_t used = 0;
  const auto number = [&]() -> Result<std::uint64_t> {
    std::string digits;
    for (;;) {
      if (data_left_ == 0 || digits.size() > 20) return corrupt("malformed sparse map");
      HF_ASSIGN(const auto have, data());
      const char c = static_cast<char>(have[0]);
      consume(1);
      ++used;
      if (c == '\n') return decimal(digits, "sparse map");
      digits.push_back(c);
    }
  };
  HF_ASSIGN(const std::uint64_t count, number());
  if (count > limits_.sparse_runs)
    return Error{Errc::layer_limit, "too many runs in a sparse file"};
  for (std::uint64_t i = 0; i < count; ++i) {
    HF_ASSIGN(const std::uint64_t offset, number());
    HF_ASSIGN(const std::uint64_t length, number());
    entry.runs.push_back({offset, length});
  }
  std::uint64_t rest = (512 - used % 512) % 512;
  while (rest > 0) {
    if (data_left_ == 0) return corrupt("malformed sparse map");
    HF_ASSIGN(const auto have, data());
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(rest, have.size()));
    consume(part);
    rest -= part;
  }
  return ok();
}

Status TarReader::check_runs(Entry& entry) const {
  std::uint64_t end = 0;
  std::uint64_t stored = 0;
  for (const auto& run : entry.runs) {
    if (run.offset < end || run.offset > entry.size || run.length > entry.size - run.offset)
      return corrupt(fmt::format("malformed sparse map of {}", printable(entry.path)));
    end = run.offset + run.length;
    stored += run.length;
  }
  if (stored != data_left_)
    return corrupt(fmt::format("sparse map of {} does not match its data", printable(entry.path)));
  return ok();
}

}  // namespace holdfast::agent::worker::unpack
