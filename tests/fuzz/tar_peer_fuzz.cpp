/// What our tar reader takes, libarchive's sees the same: entries, names, kinds, links and
/// contents. Archives that one of the two refuses, or that libarchive warns about, are not
/// compared: ours refuses on purpose what readers see differently (agent/worker/unpack/README.md).
#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/worker/unpack/tar_reader.hpp"
#include "tests/fuzz/memory_source.hpp"

namespace {

using namespace holdfast::agent::worker::unpack;

constexpr std::uint64_t kMost = 1U << 20;  // of one file: holes cost memory here

struct Seen {
  std::string path;
  std::string link;
  char kind = '?';
  std::uint64_t size = 0;
  std::string data;  ///< holes filled with zeros
  bool operator==(const Seen&) const = default;
};

/// Slashes at the end and twice in a row name nothing.
std::string without_slashes(std::string path) {
  path.erase(
      std::unique(path.begin(), path.end(), [](char a, char b) { return a == '/' && b == '/'; }),
      path.end());
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

char kind_of(EntryType type) {
  switch (type) {
    case EntryType::file:
      return 'f';
    case EntryType::hard_link:
      return 'h';
    case EntryType::symlink:
      return 'l';
    case EntryType::char_device:
      return 'c';
    case EntryType::block_device:
      return 'b';
    case EntryType::directory:
      return 'd';
    case EntryType::fifo:
      break;
  }
  return 'p';
}

/// Stored data at its place in the file.
std::string spread(const Entry& entry, const std::string& stored) {
  if (!entry.sparse) return stored;
  std::string data(entry.size, '\0');
  std::size_t from = 0;
  for (const auto& run : entry.runs) {
    data.replace(run.offset, run.length, stored, from, run.length);
    from += run.length;
  }
  return data;
}

std::optional<std::vector<Seen>> ours(std::span<const std::byte> bytes) {
  holdfast::test::MemorySource source{bytes, bytes.size() + 1};
  TarReader tar{source, TarLimits{.entries = 1000, .file_bytes = kMost}};
  std::vector<Seen> seen;
  for (;;) {
    const auto entry = tar.next();
    if (!entry) return std::nullopt;
    if (!*entry) break;
    std::string stored;
    while (tar.data_left() > 0) {
      const auto data = tar.data();
      if (!data) return std::nullopt;
      stored.append(reinterpret_cast<const char*>(data->data()), data->size());
      tar.consume(data->size());
    }
    const auto& e = **entry;
    const bool file = e.type == EntryType::file;
    const bool link = e.type == EntryType::hard_link || e.type == EntryType::symlink;
    seen.push_back({without_slashes(e.path), link ? e.link : "", kind_of(e.type), file ? e.size : 0,
                    file ? spread(e, stored) : std::string{}});
  }
  if (!tar.drain()) return std::nullopt;
  return seen;
}

char kind_of(archive_entry* entry) {
  if (archive_entry_hardlink(entry) != nullptr) return 'h';
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
      return 'f';
    case AE_IFLNK:
      return 'l';
    case AE_IFCHR:
      return 'c';
    case AE_IFBLK:
      return 'b';
    case AE_IFDIR:
      return 'd';
    case AE_IFIFO:
      return 'p';
    default:
      return '?';
  }
}

std::optional<std::string> data_of(archive* tar, std::uint64_t size) {
  std::string data(size, '\0');
  for (;;) {
    const void* block = nullptr;
    std::size_t length = 0;
    la_int64_t offset = 0;
    const int got = archive_read_data_block(tar, &block, &length, &offset);
    if (got == ARCHIVE_EOF) return data;
    if (got != ARCHIVE_OK) return std::nullopt;
    const auto at = static_cast<std::uint64_t>(offset);
    if (at > size || length > size - at) return std::nullopt;
    data.replace(at, length, static_cast<const char*>(block), length);
  }
}

std::optional<std::vector<Seen>> theirs(std::span<const std::byte> bytes) {
  const std::unique_ptr<archive, int (*)(archive*)> tar{archive_read_new(), archive_read_free};
  archive_read_support_format_tar(tar.get());
  archive_read_set_options(tar.get(), "tar:!mac-ext");
  if (archive_read_open_memory(tar.get(), bytes.data(), bytes.size()) != ARCHIVE_OK)
    return std::nullopt;
  std::vector<Seen> seen;
  for (;;) {
    archive_entry* entry = nullptr;
    const int got = archive_read_next_header(tar.get(), &entry);
    if (got == ARCHIVE_EOF) return seen;
    if (got != ARCHIVE_OK) return std::nullopt;
    const auto text = [](const char* name) { return std::string{name == nullptr ? "" : name}; };
    Seen one{without_slashes(text(archive_entry_pathname(entry))), {}, kind_of(entry), 0, {}};
    if (one.kind == 'h') one.link = text(archive_entry_hardlink(entry));
    if (one.kind == 'l') one.link = text(archive_entry_symlink(entry));
    if (one.kind == 'f') {
      one.size = static_cast<std::uint64_t>(archive_entry_size(entry));
      if (one.size > kMost) return std::nullopt;
      auto data = data_of(tar.get(), one.size);
      if (!data) return std::nullopt;
      one.data = std::move(*data);
    }
    seen.push_back(std::move(one));
  }
}

void print(const char* who, const std::vector<Seen>& all) {
  for (const auto& one : all)
    std::fprintf(stderr, "%s: %c \"%s\" -> \"%s\" %llu bytes\n", who, one.kind, one.path.c_str(),
                 one.link.c_str(), static_cast<unsigned long long>(one.size));
}

}  // namespace

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

/// A changed header would be refused for its sum by both: it is made right again, where there is
/// one.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned /*seed*/) {
  constexpr std::size_t kBlock = 512;
  constexpr std::size_t kSum = 148;  // eight bytes, summed as blanks
  constexpr std::size_t kMagic = 257;
  size = LLVMFuzzerMutate(data, size, most);
  for (std::size_t at = 0; at + kBlock <= size; at += kBlock) {
    if (std::memcmp(data + at + kMagic, "ustar", 5) != 0) continue;
    std::memset(data + at + kSum, ' ', 8);
    unsigned sum = 0;
    for (std::size_t i = 0; i < kBlock; ++i) sum += data[at + i];
    std::snprintf(reinterpret_cast<char*>(data + at + kSum), 8, "%06o", sum);
  }
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span{data, size});
  const auto mine = ours(bytes);
  if (!mine || mine->empty()) return 0;
  const auto other = theirs(bytes);
  if (!other || *mine == *other) return 0;
  print("ours", *mine);
  print("libarchive", *other);
  std::abort();
}
