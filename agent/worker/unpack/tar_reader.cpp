#include "agent/worker/unpack/tar_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "agent/worker/unpack/tar_errors.hpp"
#include "agent/worker/unpack/tar_numbers.hpp"
#include "common/base/text.hpp"
#include "common/url/url.hpp"

namespace holdfast::agent::worker::unpack {
namespace {

constexpr std::uint64_t kBlock = 512;

std::span<const std::byte> field(const std::array<std::byte, 512>& block, std::size_t offset,
                                 std::size_t size) {
  return std::span{block}.subspan(offset, size);
}

std::string_view text_field(const std::array<std::byte, 512>& block, std::size_t offset,
                            std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(block.data()) + offset, size};
  return text.substr(0, text.find('\0'));
}

bool all_zero(const std::array<std::byte, 512>& block) {
  return std::all_of(block.begin(), block.end(), [](std::byte b) { return b == std::byte{0}; });
}

Status check_sum(const std::array<std::byte, 512>& block) {
  HF_ASSIGN(const std::int64_t stated, header_number(field(block, 148, 8), "checksum"));
  std::int64_t unsigned_sum = 0;
  std::int64_t signed_sum = 0;  // what some old programs wrote
  for (std::size_t i = 0; i < block.size(); ++i) {
    const bool own = i >= 148 && i < 156;
    const auto byte = own ? std::byte{' '} : block[i];
    unsigned_sum += static_cast<std::uint8_t>(byte);
    signed_sum += static_cast<std::int8_t>(byte);
  }
  if (stated != unsigned_sum && stated != signed_sum)
    return corrupt("tar header has a wrong checksum");
  return ok();
}

/// POSIX's magic with its version, GNU's, or none at all (before POSIX). Of another, some readers
/// take the prefix of the name and some do not.
Status check_magic(const std::array<std::byte, 512>& block) {
  const std::string_view magic{reinterpret_cast<const char*>(block.data()) + 257, 8};
  const bool known = magic ==
                         std::string_view{
                             "ustar\0"
                             "00",
                             8} ||
                     magic == std::string_view{"ustar  \0", 8} || !magic.starts_with("ustar");
  const bool old_version = magic.starts_with(std::string_view{"ustar\0", 6});
  if (known || (old_version && text_field(block, 345, 155).empty())) return ok();
  return ambiguous("a header whose format has an unknown version");
}

/// Of several extended headers of a kind before one entry some readers take the last, some all of
/// them; of a global one in between some apply it, some end the entry with it.
Status check_order(char type, std::string& before) {
  const bool global = type == 'g' || type == 'V';
  const bool again = before.find(type) != std::string::npos;
  const bool within = !before.empty();
  before.push_back(type);
  if (global) before.pop_back();
  if (!global && again) return ambiguous("several extended headers of one kind before one entry");
  if (global && within)
    return ambiguous("a global header between an entry and its extended header");
  return ok();
}

bool describes_files(std::string_view key) {
  constexpr std::array<std::string_view, 8> kKeys{"path", "linkpath", "size",  "uid",
                                                  "gid",  "mtime",    "uname", "gname"};
  return key.starts_with("GNU.sparse.") || key == "SCHILY.realsize" ||
         std::find(kKeys.begin(), kKeys.end(), key) != kKeys.end();
}

bool has_data(char type) { return type == '0' || type == '\0' || type == '7' || type == 'S'; }

Result<EntryType> entry_type(char type, std::string_view path) {
  switch (type) {
    case '\0':
    case '0':
    case '7':
      return path.ends_with('/') ? EntryType::directory : EntryType::file;
    case 'S':
      return EntryType::file;
    case '1':
      return EntryType::hard_link;
    case '2':
      return EntryType::symlink;
    case '3':
      return EntryType::char_device;
    case '4':
      return EntryType::block_device;
    case '5':
      return EntryType::directory;
    case '6':
      return EntryType::fifo;
    default:
      return corrupt(fmt::format("tar entry {} has the unknown type '{}'", printable(path),
                                 printable({&type, 1})));
  }
}

Result<std::uint32_t> narrow(std::int64_t value, std::uint32_t highest, std::string_view name) {
  if (value < 0 || value > highest)
    return corrupt(fmt::format("tar header field {} is out of range: {}", name, value));
  return static_cast<std::uint32_t>(value);
}

constexpr std::uint32_t kMaxId = 0xFFFFFFFEU;
constexpr std::uint32_t kMaxMajor = 0xFFFU;
constexpr std::uint32_t kMaxMinor = 0xFFFFFU;

}  // namespace

Result<bool> TarReader::read_block(Block& block) {
  HF_ASSIGN(const auto first, source_.peek());
  if (first.empty()) return false;
  HF_TRY(read_exactly(block));
  return true;
}

Status TarReader::read_exactly(std::span<std::byte> to) {
  while (!to.empty()) {
    HF_ASSIGN(const auto have, source_.peek());
    if (have.empty()) return corrupt("the archive ends in the middle of an entry");
    const std::size_t part = std::min(have.size(), to.size());
    std::memcpy(to.data(), have.data(), part);
    source_.consume(part);
    to = to.subspan(part);
  }
  return ok();
}

Result<std::string> TarReader::read_text(std::uint64_t size) {
  if (size > limits_.extended_header_bytes)
    return Error{Errc::layer_limit,
                 fmt::format("extended tar header of {} bytes, at most {} are allowed", size,
                             limits_.extended_header_bytes)};
  std::string text(size, '\0');
  HF_TRY(read_exactly(std::as_writable_bytes(std::span{text})));
  data_left_ = 0;
  padding_ = (kBlock - size % kBlock) % kBlock;
  HF_TRY(skip_member());
  return text;
}

Result<std::span<const std::byte>> TarReader::data() {
  HF_ASSIGN(const auto have, source_.peek());
  if (have.empty()) return corrupt("the archive ends in the middle of a file");
  return have.first(static_cast<std::size_t>(std::min<std::uint64_t>(have.size(), data_left_)));
}

void TarReader::consume(std::size_t count) {
  source_.consume(count);
  data_left_ -= count;
}

Status TarReader::skip_member() {
  if (source_.skip(data_left_ + padding_)) data_left_ = padding_ = 0;
  while (data_left_ > 0) {
    HF_ASSIGN(const auto have, data());
    consume(have.size());
  }
  while (padding_ > 0) {
    HF_ASSIGN(const auto have, source_.peek());
    if (have.empty()) return corrupt("the archive ends in the padding of an entry");
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(have.size(), padding_));
    source_.consume(part);
    padding_ -= part;
  }
  return ok();
}

Status TarReader::drain() {
  for (;;) {
    HF_ASSIGN(const auto have, source_.peek());
    if (have.empty()) return ok();
    source_.consume(have.size());
  }
}

Result<std::optional<Entry>> TarReader::next() {
  if (ended_) return std::optional<Entry>{};
  HF_TRY(skip_member());
  Pending pending;
  for (;;) {
    Block block;
    HF_ASSIGN(const bool have, read_block(block));
    if (!have || all_zero(block)) {
      ended_ = true;
      return std::optional<Entry>{};
    }
    HF_TRY(check_sum(block));
    HF_TRY(check_magic(block));
    if (++entries_ > limits_.entries)
      return Error{
          Errc::layer_limit,
          fmt::format("more than {} entries, too many for a layer of this size", limits_.entries)};
    const char type = static_cast<char>(block[156]);
    HF_ASSIGN(const std::int64_t stated, header_number(field(block, 124, 12), "size"));
    if (stated < 0) return corrupt("tar header with a negative size");
    const auto size = static_cast<std::uint64_t>(stated);
    HF_ASSIGN(const bool extended, extended_header(type, size, pending));
    if (extended) continue;
    HF_ASSIGN(Entry entry, member(block, type, size, std::move(pending)));
    return std::optional<Entry>{std::move(entry)};
  }
}

Result<bool> TarReader::extended_header(char type, std::uint64_t size, Pending& pending) {
  if (type != 'x' && type != 'X' && type != 'g' && type != 'L' && type != 'K' && type != 'V')
    return false;
  HF_TRY(check_order(type == 'X' ? 'x' : type, pending.headers));
  HF_ASSIGN(const std::string text, read_text(size));
  if (type == 'x' || type == 'X') HF_TRY(parse_pax(text, pending));
  if (type == 'g') HF_TRY(check_global(text));
  if (type == 'L' || type == 'K') {
    const auto name = text.substr(0, text.find('\0'));
    if (name.empty()) return ambiguous("an extended header with an empty name");
    (type == 'L' ? pending.long_name : pending.long_link) = name;
  }
  return true;
}

/// Global headers: Go, and so every peer, ignores them, GNU tar and bsdtar obey. What says nothing
/// of files (git archive's comment) is ignored here too; the rest is refused.
Status TarReader::check_global(std::string_view text) const {
  Pending global;
  HF_TRY(parse_pax(text, global));
  const bool speaks = !global.xattrs.empty() || !global.runs.empty() ||
                      std::any_of(global.records.begin(), global.records.end(),
                                  [](const auto& record) { return describes_files(record.first); });
  if (speaks) return ambiguous("a global extended header that describes files");
  return ok();
}

Status TarReader::parse_pax(std::string_view text, Pending& pending) const {
  while (!text.empty()) {
    const auto space = text.find(' ');
    if (space == std::string_view::npos || space > 10)
      return corrupt("malformed extended tar header");
    HF_ASSIGN(const std::uint64_t length, decimal(text.substr(0, space), "record length"));
    if (length <= space + 1 || length > text.size() || text[length - 1] != '\n')
      return corrupt("malformed extended tar header");
    const auto record = text.substr(space + 1, length - space - 2);
    const auto equals = record.find('=');
    if (equals == std::string_view::npos || equals == 0)
      return corrupt("malformed extended tar header");
    HF_TRY(store_record(record.substr(0, equals), record.substr(equals + 1), pending));
    text.remove_prefix(length);
  }
  return ok();
}

Status TarReader::store_record(std::string_view key, std::string_view value,
                               Pending& pending) const {
  // POSIX pax: a record without a value takes the keyword back. Go's reader, and so every peer, has
  // it like this for attributes too.
  if (value.empty() && key.find(".xattr.") != std::string_view::npos) return ok();
  // bsdtar records an attribute twice: in base64 (LIBARCHIVE) and plain (SCHILY).
  if (constexpr std::string_view kPrefix = "SCHILY.xattr."; key.starts_with(kPrefix))
    return store_xattr({std::string{key.substr(kPrefix.size())}, std::string{value}}, pending);
  if (constexpr std::string_view kPrefix = "LIBARCHIVE.xattr."; key.starts_with(kPrefix)) {
    auto name = url::decode_leniently(key.substr(kPrefix.size()));
    HF_ASSIGN(std::string plain, base64_decoded(value));
    return store_xattr({std::move(name), std::move(plain)}, pending);
  }
  if (key == "GNU.sparse.offset") {
    HF_ASSIGN(const std::uint64_t offset, decimal(value, key));
    if (pending.run_open) return corrupt("malformed sparse map");
    if (pending.runs.size() >= limits_.sparse_runs)
      return Error{Errc::layer_limit, "too many runs in a sparse file"};
    pending.runs.push_back({offset, 0});
    pending.run_open = true;
    return ok();
  }
  if (key == "GNU.sparse.numbytes") {
    if (!std::exchange(pending.run_open, false)) return corrupt("malformed sparse map");
    HF_ASSIGN(pending.runs.back().length, decimal(value, key));
    return ok();
  }
  const auto [known, fresh] = pending.records.try_emplace(std::string{key}, value);
  if (!fresh && known->second != value)
    return ambiguous(fmt::format("\"{}\" given twice", printable(key)));
  return ok();
}

Status TarReader::store_xattr(Xattr xattr, Pending& pending) const {
  if (xattr.name.empty() || xattr.name.size() > 255 || xattr.name.find('\0') != std::string::npos)
    return Error{Errc::layer_limit,
                 fmt::format("extended attribute with a name of {} bytes", xattr.name.size())};
  if (xattr.value.size() > limits_.xattr_value_bytes)
    return Error{Errc::layer_limit, fmt::format("extended attribute {} of {} bytes",
                                                printable(xattr.name), xattr.value.size())};
  for (auto& known : pending.xattrs) {
    if (known.name != xattr.name) continue;
    if (known.value == xattr.value) return ok();
    return ambiguous(fmt::format("attribute {} given twice", printable(xattr.name)));
  }
  if (pending.xattrs.size() >= limits_.xattrs)
    return Error{Errc::layer_limit,
                 fmt::format("more than {} extended attributes on one entry", limits_.xattrs)};
  pending.xattrs.push_back(std::move(xattr));
  return ok();
}

Result<Entry> TarReader::member(const Block& block, char type, std::uint64_t size,
                                Pending pending) {
  Entry entry;
  HF_TRY(apply_names(block, entry, pending));
  HF_ASSIGN(const std::int64_t mode, header_number(field(block, 100, 8), "mode"));
  HF_ASSIGN(const std::int64_t uid, header_number(field(block, 108, 8), "uid"));
  HF_ASSIGN(const std::int64_t gid, header_number(field(block, 116, 8), "gid"));
  HF_ASSIGN(const std::int64_t mtime, header_number(field(block, 136, 12), "mtime"));
  entry.attributes.mode = static_cast<std::uint32_t>(mode) & 07777U;
  entry.attributes.mtime = {static_cast<time_t>(mtime), 0};
  HF_ASSIGN(entry.attributes.uid, narrow(uid, kMaxId, "uid"));
  HF_ASSIGN(entry.attributes.gid, narrow(gid, kMaxId, "gid"));
  HF_TRY(apply_records(entry, size, pending));
  HF_ASSIGN(entry.type, entry_type(type, entry.path));
  const bool link = entry.type == EntryType::hard_link || entry.type == EntryType::symlink;
  if (link && entry.link.empty())
    return corrupt(fmt::format("link {} has no target", printable(entry.path)));
  if (entry.type == EntryType::hard_link && size > 0) return ambiguous("the data of a hard link");
  if (entry.type == EntryType::char_device || entry.type == EntryType::block_device) {
    HF_ASSIGN(const std::int64_t major, header_number(field(block, 329, 8), "devmajor"));
    HF_ASSIGN(const std::int64_t minor, header_number(field(block, 337, 8), "devminor"));
    HF_ASSIGN(entry.device_major, narrow(major, kMaxMajor, "devmajor"));
    HF_ASSIGN(entry.device_minor, narrow(minor, kMaxMinor, "devminor"));
  }
  data_left_ = has_data(type) && entry.type == EntryType::file ? size : 0;
  padding_ = (kBlock - data_left_ % kBlock) % kBlock;
  entry.size = data_left_;
  HF_TRY(check_old_gnu_sparse(type, block));
  HF_ASSIGN(const SparseFormat sparse, sparse_format(type, entry.type, pending));
  HF_TRY(type == 'S' ? old_gnu_sparse(block, entry) : pax_sparse(entry, sparse, pending));
  if (entry.sparse) HF_TRY(check_runs(entry));
  if (entry.size > limits_.file_bytes)
    return Error{Errc::layer_limit,
                 fmt::format("file {} of {}, at most {} may be written", printable(entry.path),
                             human_bytes(entry.size), human_bytes(limits_.file_bytes))};
  return entry;
}

Status TarReader::apply_names(const Block& block, Entry& entry, Pending& pending) const {
  entry.path = text_field(block, 0, 100);
  entry.link = text_field(block, 157, 100);
  const bool posix = std::memcmp(block.data() + 257, "ustar\0", 6) == 0;
  if (const auto prefix = text_field(block, 345, 155); posix && !prefix.empty())
    entry.path = std::string{prefix} + "/" + entry.path;
  auto& records = pending.records;
  for (const auto& [gnu, key] :
       {std::pair{&pending.long_name, "path"}, std::pair{&pending.long_link, "linkpath"}}) {
    const auto pax = records.find(std::string_view{key});
    if (*gnu && pax != records.end() && pax->second != **gnu)
      return ambiguous("two different long names of one entry");
  }
  if (pending.long_name) entry.path = *pending.long_name;
  if (pending.long_link) entry.link = *pending.long_link;
  if (const auto it = records.find("path"); it != records.end() && !it->second.empty())
    entry.path = it->second;
  if (const auto it = records.find("GNU.sparse.name"); it != records.end() && !it->second.empty())
    entry.path = it->second;
  if (const auto it = records.find("linkpath"); it != records.end() && !it->second.empty())
    entry.link = it->second;
  for (const auto* name : {&entry.path, &entry.link}) {
    if (name->find('\0') != std::string::npos)
      return corrupt("tar entry with a zero byte in its name");
    if (name->size() >= limits_.path_bytes)
      return Error{Errc::layer_limit, fmt::format("path of {} bytes, at most {} are allowed",
                                                  name->size(), limits_.path_bytes - 1)};
  }
  if (entry.path.empty()) return corrupt("tar entry without a name");
  return ok();
}

Status TarReader::apply_records(Entry& entry, std::uint64_t& size, Pending& pending) const {
  const auto& records = pending.records;
  const auto number = [&](const char* key, auto set) -> Status {
    const auto it = records.find(std::string_view{key});
    if (it == records.end() || it->second.empty()) return ok();
    HF_ASSIGN(const std::uint64_t value, decimal(it->second, key));
    return set(value);
  };
  const auto id = [](std::uint32_t& to) {
    return [&to](std::uint64_t value) -> Status {
      if (value > kMaxId) return corrupt(fmt::format("owner id {} is out of range", value));
      to = static_cast<std::uint32_t>(value);
      return ok();
    };
  };
  HF_TRY(number("uid", id(entry.attributes.uid)));
  HF_TRY(number("gid", id(entry.attributes.gid)));
  HF_TRY(number("size", [&](std::uint64_t value) -> Status {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max() / 2))
      return corrupt("file size is out of range");
    size = value;
    return ok();
  }));
  if (const auto it = records.find("mtime"); it != records.end() && !it->second.empty()) {
    HF_ASSIGN(entry.attributes.mtime, pax_time(it->second));
  }
  entry.attributes.xattrs = std::move(pending.xattrs);
  return ok();
}

}  // namespace holdfast::agent::worker::unpack
