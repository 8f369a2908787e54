#include "agent/worker/unpack/archive_index.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <vector>

#include "agent/worker/unpack/byte_source.hpp"
#include "agent/worker/unpack/tar_reader.hpp"
#include "common/base/text.hpp"
#include "proto/json/json.hpp"
#include "proto/oci/oci.hpp"

namespace holdfast::agent::worker::unpack {
namespace {

constexpr std::uint64_t kMaxEntries = 10'000;
constexpr std::size_t kMaxLayoutFile = 4096;
constexpr std::string_view kLayoutVersion = "1.0.0";
constexpr std::size_t kPiece = 64U << 10;

/// The file by pieces; what is skipped is not read.
class FileSource final : public ByteSource {
 public:
  explicit FileSource(int fd) : fd_(fd), piece_(kPiece) {}

  Result<std::span<const std::byte>> peek() override {
    if (have_ == 0) {
      ssize_t got = 0;
      do {
        got = ::pread(fd_, piece_.data(), piece_.size(), static_cast<off_t>(offset_));
      } while (got < 0 && errno == EINTR);
      if (got < 0) return errno_error(errno, "read the archive");
      used_ = 0;
      have_ = static_cast<std::size_t>(got);
    }
    return std::span<const std::byte>{piece_}.subspan(used_, have_);
  }
  void consume(std::size_t count) override {
    const auto part = std::min(count, have_);
    used_ += part;
    have_ -= part;
    offset_ += count;
  }
  bool skip(std::uint64_t count) override {
    if (count <= have_) {
      consume(static_cast<std::size_t>(count));
    } else {
      have_ = 0;
      offset_ += count;
    }
    return true;
  }
  [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }

 private:
  int fd_;
  std::vector<std::byte> piece_;
  std::size_t used_ = 0;
  std::size_t have_ = 0;
  std::uint64_t offset_ = 0;
};

Error unsafe(const std::string& name, const char* why) {
  return Error{Errc::layer_unsafe, fmt::format("the archive's entry {} {}", printable(name), why)}
      .hint("do not trust this archive: write it again with skopeo, buildah or docker save");
}

/// The name without "./" before it. Errors: layer_unsafe.
Result<std::string> plain_name(const std::string& name) {
  if (name.starts_with('/')) return unsafe(name, "has an absolute name");
  std::string out;
  for (const auto part : split(name, '/')) {
    if (part == "..") return unsafe(name, "leads out of it");
    if (part.empty() || part == ".") continue;
    out += (out.empty() ? "" : "/") + std::string{part};
  }
  return out;
}

/// The hex of "blobs/sha256/<64 hex>"; empty for other names.
std::string blob_of(std::string_view name) {
  constexpr std::string_view kBlobs = "blobs/sha256/";
  if (!name.starts_with(kBlobs)) return {};
  const auto digest = proto::Digest::parse("sha256:" + std::string{name.substr(kBlobs.size())});
  return digest ? digest->hex() : std::string{};
}

bool is_compressed(std::span<const std::byte> head) {
  const auto begins = [&](std::initializer_list<unsigned> magic) {
    return head.size() >= magic.size() &&
           std::equal(magic.begin(), magic.end(), head.begin(),
                      [](unsigned a, std::byte b) { return std::byte(a) == b; });
  };
  return begins({0x1F, 0x8B}) || begins({0x28, 0xB5, 0x2F, 0xFD}) || begins({0xFD, '7', 'z'});
}

/// image-spec image-layout.md, oci-layout file.
Status check_version(TarReader& tar) {
  std::string text;
  while (tar.data_left() > 0) {
    HF_ASSIGN(const auto have, tar.data());
    text.append(reinterpret_cast<const char*>(have.data()), have.size());
    tar.consume(have.size());
    if (text.size() > kMaxLayoutFile)
      return Error{Errc::too_large, fmt::format("the archive's oci-layout file has more than {}",
                                                human_bytes(kMaxLayoutFile))};
  }
  auto parsed = proto::json::parse(text, Errc::layer_corrupt);
  if (!parsed) return std::move(parsed).error().in("the archive's oci-layout file");
  const auto* object = parsed->if_object();
  const auto* version = object == nullptr ? nullptr : object->if_contains("imageLayoutVersion");
  const std::string has{version != nullptr && version->is_string() ? version->get_string() : ""};
  if (has == kLayoutVersion) return ok();
  return Error{Errc::usage,
               fmt::format("the archive is an OCI layout of version \"{}\", this agent "
                           "reads {}",
                           printable(has.substr(0, 40)), kLayoutVersion)}
      .hint("write it again with skopeo, buildah or docker save");
}

Status take(const Entry& entry, const std::string& name, Extent where, ArchiveIndex& index,
            bool& layout_file) {
  const auto blob = blob_of(name);
  const bool ours = !blob.empty() || name == "index.json" || name == "oci-layout";
  if (ours && (entry.type != EntryType::file || entry.sparse))
    return unsafe(name, "is not a plain file");
  if (entry.type == EntryType::char_device || entry.type == EntryType::block_device ||
      entry.type == EntryType::hard_link)
    return unsafe(name, "is a device or a link");
  // The first or the last: readers disagree.
  if ((name == "oci-layout" && layout_file) || (name == "index.json" && index.layout.size != 0))
    return unsafe(name, "is in it twice");
  if (name == "oci-layout") layout_file = true;
  if (name == "index.json") {
    if (where.size > proto::oci::kMaxDocumentBytes)
      return Error{
          Errc::too_large,
          fmt::format("the archive's index.json has {}, at most {} are read",
                      human_bytes(where.size), human_bytes(proto::oci::kMaxDocumentBytes))};
    index.layout = where;
  }
  if (!blob.empty()) index.blobs.insert_or_assign(blob, where);
  return ok();
}

}  // namespace

Result<ArchiveIndex> index_archive(int fd) {
  FileSource source{fd};
  HF_ASSIGN(const auto head, source.peek());
  if (is_compressed(head))
    return Error{Errc::usage, "the archive is compressed as a whole"}.hint(
        "decompress it first: gunzip FILE, or zstd -d FILE");
  TarReader tar{source, TarLimits{.entries = kMaxEntries}};
  ArchiveIndex index;
  bool layout_file = false;
  for (;;) {
    auto entry = tar.next();
    if (!entry) return std::move(entry).error().in("read the archive");
    if (!*entry) break;
    HF_ASSIGN(const auto name, plain_name((*entry)->path));
    HF_TRY(take(**entry, name, {source.offset(), tar.data_left()}, index, layout_file));
    if (name == "oci-layout") HF_TRY(check_version(tar));
  }
  struct stat info {};
  if (fstat(fd, &info) != 0) return errno_error(errno, "stat the archive");
  if (source.offset() > static_cast<std::uint64_t>(info.st_size))
    return Error{Errc::layer_corrupt, "the archive is cut off in the middle"}.hint(
        "copy it again, and compare its size");
  if (!layout_file || index.layout.size == 0)
    return Error{Errc::usage, "the file is not an archive of an OCI layout"}.hint(
        "write it with: skopeo copy SOURCE oci-archive:FILE, buildah push IMAGE oci-archive:FILE, "
        "or docker save -o FILE IMAGE of docker 25 or later");
  return index;
}

}  // namespace holdfast::agent::worker::unpack
