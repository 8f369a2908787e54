#include <cstdint>
#include <cstdlib>

#include "agent/worker/unpack/path.hpp"
#include "agent/worker/unpack/tar_reader.hpp"
#include "tests/fuzz/memory_source.hpp"

namespace {

using namespace holdfast::agent::worker::unpack;

void check(const Entry& entry, const TarLimits& limits) {
  for (const auto* name : {&entry.path, &entry.link}) {
    if (name->size() >= limits.path_bytes || name->find('\0') != std::string::npos) std::abort();
  }
  if (entry.path.empty() || entry.size > limits.file_bytes) std::abort();
  if (entry.attributes.xattrs.size() > limits.xattrs) std::abort();
  for (const auto& xattr : entry.attributes.xattrs) {
    if (xattr.name.empty() || xattr.name.size() > 255) std::abort();
    if (xattr.value.size() > limits.xattr_value_bytes) std::abort();
  }
  std::uint64_t end = 0;  // of the run before
  for (const auto& run : entry.runs) {
    if (run.offset < end || run.length > entry.size || run.offset > entry.size - run.length)
      std::abort();
    end = run.offset + run.length;
  }
}

/// Entries with their data, as the unpacker reads them. Returns what it saw, in numbers.
std::uint64_t read_all(std::span<const std::byte> bytes, std::size_t piece) {
  holdfast::test::MemorySource source{bytes, piece};
  const TarLimits limits{.entries = 1000, .file_bytes = 1U << 30};
  TarReader tar{source, limits};
  std::uint64_t seen = 0;
  for (;;) {
    const auto entry = tar.next();
    if (!entry) return seen * 31 + static_cast<std::uint64_t>(entry.error().code());
    if (!*entry) break;
    check(**entry, limits);
    seen = seen * 31 + (*entry)->path.size() + (*entry)->size;
    if (seen % 3 == 0) continue;  // some are skipped, as a layer's deleted files are
    while (tar.data_left() > 0) {
      const auto data = tar.data();
      if (!data) return seen * 31;
      if (data->empty()) std::abort();
      tar.consume(data->size());
    }
  }
  if (tar.entries() > limits.entries || !tar.drain()) std::abort();
  return seen;
}

}  // namespace

/// The tar reader, and that the pieces in which a stream comes make no difference.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span{data, size});
  if (read_all(bytes, size + 1) != read_all(bytes, 511)) std::abort();
  return 0;
}
