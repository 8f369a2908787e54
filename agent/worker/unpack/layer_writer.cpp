#include "agent/worker/unpack/layer_writer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "agent/worker/unpack/path.hpp"
#include "common/base/text.hpp"
#include "common/os/file.hpp"

namespace holdfast::agent::worker::unpack {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kReserved = ".wh..wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::uint64_t kBlock = 4096;  ///< of the file systems that images are kept on
/// Write-back of a file this large starts when it is complete, so that the final sync finds little
/// left to do.
constexpr std::uint64_t kEarlyWriteBack = 256U << 10;

Error unsafe(std::string what) { return Error{Errc::layer_unsafe, std::move(what)}; }

/// Whether the entry is below a directory that AUFS left behind (.wh..wh.orph, .wh..wh.plnk), which
/// is no part of the image. Below any other marker nothing can be: one reader removes what another
/// makes a directory of.
Result<bool> below_marker(const std::vector<std::string>& parts) {
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    if (!parts[i].starts_with(kWhiteout)) continue;
    if (parts[i].starts_with(kReserved) && parts[i] != kOpaque) return true;
    return unsafe("an entry below a whiteout");
  }
  return false;
}

/// Removes what is in the way and tries again: the last entry of a name wins
/// (packaging/doc/security.md 2.3, Existing path).
template <class Make>
Status make_or_replace(Directories& directories, const std::string& parent, const std::string& name,
                       const Make& make) {
  for (int attempt = 0;; ++attempt) {
    HF_ASSIGN(const int fd, directories.open(parent));
    if (make(fd) == 0) return ok();
    if (errno != EEXIST || attempt > 0) return errno_error(errno, "create");
    HF_TRY(directories.remove(parent, name));
  }
}

}  // namespace

Status write_at(int fd, std::span<const std::byte> data, std::uint64_t offset) {
  while (!data.empty()) {
    const ssize_t wrote = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return errno_error(errno, "write");
    data = data.subspan(static_cast<std::size_t>(wrote));
    offset += static_cast<std::uint64_t>(wrote);
  }
  return ok();
}

LayerWriter::LayerWriter(int root, int lowers, XattrPolicy policy, std::uint64_t most_bytes,
                         const os::DiskFloor& floor)
    : root_(root),
      bytes_left_(most_bytes),
      floor_(floor),
      policy_(policy),
      directories_(root, lowers) {}

/// A hole takes no room on the disk, but everything that reads the file later.
Status LayerWriter::count_bytes(std::uint64_t size) {
  if (size > bytes_left_)
    return Error{Errc::layer_limit,
                 fmt::format("the sizes of the layer's files, holes included, are beyond the limit "
                             "of a layer by {}",
                             human_bytes(size - bytes_left_))};
  bytes_left_ -= size;
  return ok();
}

Result<LayerSummary> LayerWriter::apply_all(TarReader& tar) {
  for (;;) {
    HF_ASSIGN(auto entry, tar.next());
    if (!entry) break;
    const std::string name = entry->path;
    if (auto applied = apply(*entry, tar); !applied)
      return std::move(applied).error().in("entry " + printable(name));
    if (summary_.needs_lower) return std::move(summary_);
  }
  HF_TRY(tar.drain());
  HF_TRY(directories_.finish(summary_.unsupported_xattrs));
  summary_.entries = tar.entries();
  summary_.implicit_directories = directories_.implicit_directories();
  summary_.whiteout_parents = directories_.whiteout_parents();
  return std::move(summary_);
}

Status LayerWriter::apply(Entry& entry, TarReader& tar) {
  HF_ASSIGN(const auto parts, components(entry.path));
  HF_TRY(floor_.count(0, std::max<std::size_t>(parts.size(), 1)));  // it may make each of them
  if (parts.empty()) {
    if (entry.type != EntryType::directory)
      return unsafe("the root of a layer must be a directory");
    entry.attributes.xattrs = policy_.filter(std::move(entry.attributes.xattrs));
    directories_.declare_root(entry.attributes);
    return ok();
  }
  HF_ASSIGN(const bool left_over, below_marker(parts));
  if (left_over) return ok();
  // Entries come directory by directory: the parent found for one name serves the next.
  const std::string& name = parts.back();
  std::string prefix;
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) prefix.append(parts[i]).push_back('/');
  if (!last_valid_ || prefix != last_prefix_) {
    last_valid_ = false;
    HF_ASSIGN(last_parent_, directories_.ensure_parent(parts));
    last_prefix_ = std::move(prefix);
    last_valid_ = true;
  }
  if (name.starts_with(kWhiteout)) return whiteout(last_parent_, name);
  entry.attributes.xattrs = policy_.filter(std::move(entry.attributes.xattrs));
  return place(entry, tar, last_parent_, name);
}

Status LayerWriter::whiteout(const std::string& parent, const std::string& name) {
  if (name == kOpaque) {
    directories_.opaque(parent);
    return ok();
  }
  if (name.starts_with(kReserved)) return ok();  // AUFS left-overs
  const std::string target = name.substr(kWhiteout.size());
  if (target.empty() || target == "." || target == "..")
    return unsafe("a whiteout must name something in its directory");
  directories_.whiteout(parent, target);
  return ok();
}

Status LayerWriter::place(const Entry& entry, TarReader& tar, const std::string& parent,
                          const std::string& name) {
  switch (entry.type) {
    case EntryType::file:
      return file(entry, tar, parent, name);
    case EntryType::directory: {
      return directories_.declare(parent, name, entry.attributes);
    }
    case EntryType::hard_link:
      return hard_link(entry, parent, name);
    default:
      return special(entry, parent, name);
  }
}

Status LayerWriter::file(const Entry& entry, TarReader& tar, const std::string& parent,
                         const std::string& name) {
  const auto& attributes = entry.attributes;
  HF_TRY(count_bytes(entry.size));
  os::UniqueFd fd;
  const std::uint32_t plain_mode = attributes.mode & 0777U;
  HF_TRY(make_or_replace(directories_, parent, name, [&](int at) {
    fd.reset(
        openat(at, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, plain_mode));
    return fd ? 0 : -1;
  }));
  HF_TRY(fill(fd.get(), entry, tar));
  // A new file belongs to 0:0 and has its plain mode already: directories get owner and mode,
  // setgid too, only at the end.
  const bool plain = attributes.uid == 0 && attributes.gid == 0 && attributes.mode == plain_mode &&
                     attributes.xattrs.empty();
  if (!plain) {
    HF_TRY(set_attributes(fd.get(), attributes, summary_.unsupported_xattrs));
  } else {
    const std::array<timespec, 2> times{attributes.mtime, attributes.mtime};
    if (futimens(fd.get(), times.data()) != 0) return errno_error(errno, "set times");
  }
  if (entry.size >= kEarlyWriteBack) (void)sync_file_range(fd.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
  return ok();
}

/// Inodes are used again: one that now belongs to a file without a sum loses the old one's.
Status LayerWriter::remember(int fd, std::optional<std::uint64_t> sum) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return errno_error(errno, "stat");
  if (sum) {
    summary_.sums[info.st_ino] = *sum;
  } else {
    summary_.sums.erase(info.st_ino);
  }
  return ok();
}

Status LayerWriter::fill(int fd, const Entry& entry, TarReader& tar) {
  if (!entry.sparse) {
    std::uint64_t offset = 0;
    std::uint64_t sum = 0;
    while (tar.data_left() > 0) {
      HF_ASSIGN(const auto data, tar.data());
      HF_TRY(floor_.count(data.size(), 0));
      HF_TRY(write_at(fd, data, offset));
      sum = add_to_sum(sum, data);
      offset += data.size();
      tar.consume(data.size());
    }
    return offset > 0 ? remember(fd, sum) : ok();
  }
  HF_TRY(remember(fd, std::nullopt));
  if (ftruncate(fd, static_cast<off_t>(entry.size)) != 0) return errno_error(errno, "set the size");
  for (const auto& run : entry.runs) {
    for (std::uint64_t done = 0; done < run.length;) {
      HF_ASSIGN(auto data, tar.data());
      data = data.first(
          static_cast<std::size_t>(std::min<std::uint64_t>(data.size(), run.length - done)));
      HF_TRY(floor_.count(data.size() + kBlock, 0));  // it begins within a block, and has all of it
      HF_TRY(write_at(fd, data, run.offset + done));
      done += data.size();
      tar.consume(data.size());
    }
  }
  return ok();
}

Status LayerWriter::hard_link(const Entry& entry, const std::string& parent,
                              const std::string& name) {
  HF_ASSIGN(const auto parts, components(entry.link));
  if (parts.empty()) return unsafe("a hard link to the root of the layer");
  last_valid_ = false;  // finding the target may make directories
  HF_ASSIGN(const std::string target_parent, directories_.ensure_parent(parts));
  const std::string target = join(target_parent, parts.back());
  struct stat info {};
  if (fstatat(root_, target.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno != ENOENT) return errno_error(errno, "stat " + printable(target));
    HF_TRY(copy_up(target));
    if (summary_.needs_lower) return ok();
    if (fstatat(root_, target.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
      return errno_error(errno, "stat " + printable(target));
  }
  if (S_ISDIR(info.st_mode))
    return unsafe(fmt::format("a hard link to the directory {}", printable(target)));
  if (target == join(parent, name)) return ok();
  return make_or_replace(directories_, parent, name, [&](int at) {
    return linkat(root_, target.c_str(), at, name.c_str(), 0);
  });
}

Status LayerWriter::special(const Entry& entry, const std::string& parent,
                            const std::string& name) {
  mode_t kind = 0;
  switch (entry.type) {
    case EntryType::char_device:
      kind = S_IFCHR;
      break;
    case EntryType::block_device:
      kind = S_IFBLK;
      break;
    case EntryType::fifo:
      kind = S_IFIFO;
      break;
    default:
      break;
  }
  const dev_t device = kind == S_IFIFO ? 0 : makedev(entry.device_major, entry.device_minor);
  if (kind == S_IFCHR && device == 0)
    return unsafe("character device 0:0 is a whiteout to overlayfs and cannot be in an image");
  if (entry.type == EntryType::symlink && entry.link.empty())
    return Error{Errc::layer_corrupt, "a symlink without a target"};
  last_valid_ = false;  // a symlink in the place of a directory changes where names lead
  HF_TRY(make_or_replace(directories_, parent, name, [&](int at) {
    if (entry.type == EntryType::symlink) return symlinkat(entry.link.c_str(), at, name.c_str());
    return mknodat(at, name.c_str(), kind | (entry.attributes.mode & 0777U), device);
  }));
  HF_ASSIGN(const int at, directories_.open(parent));
  return set_attributes_at(at, name, entry.attributes, entry.type, summary_.unsupported_xattrs);
}

}  // namespace holdfast::agent::worker::unpack
