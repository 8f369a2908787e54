#include "common/os/file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <vector>

namespace holdfast::os {
namespace {

struct DirCloser {
  void operator()(DIR* d) const { closedir(d); }
};
using Listing = std::unique_ptr<DIR, DirCloser>;

Result<Listing> list_directory(UniqueFd fd, const std::filesystem::path& path) {
  Listing listing{fdopendir(fd.get())};
  if (!listing) return errno_error(errno, "open " + path.string());
  (void)fd.release();
  return listing;
}

/// Removes a tree of any depth and size with three descriptors and without recursion: what lies in
/// a directory below the top is moved up into the top, under a name of ours, and has its turn
/// there. Interrupted, it goes on from what is left.
class Removal {
 public:
  Removal(int top, dev_t device, const std::filesystem::path& path)
      : top_(top), device_(device), path_(path) {}

  /// One pass over an open listing of the top; how many entries it has taken away.
  Result<std::size_t> pass(DIR* listing) {
    std::size_t removed = 0;
    while (const dirent* entry = readdir(listing)) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      HF_TRY(take(top_, entry->d_name, Level::top));
      ++removed;
    }
    return removed;
  }

 private:
  enum class Level : std::uint8_t { top, below };

  Status take(int parent, const char* name, Level level) {
    struct stat info {};
    if (fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return ok();
    const auto failed = [&] { return errno_error(errno, "remove " + (path_ / name).string()); };
    if (!S_ISDIR(info.st_mode))
      return unlinkat(parent, name, 0) == 0 || errno == ENOENT ? ok() : Status{failed()};
    if (info.st_dev != device_)
      return Error{Errc::busy,
                   fmt::format("remove {}: something is mounted there", (path_ / name).string())};
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return ok();
    if (errno != ENOTEMPTY && errno != EEXIST) return failed();
    return level == Level::top ? empty(name) : raise(parent, name);
  }

  /// A directory of the top, emptied and removed.
  Status empty(const char* name) {
    UniqueFd fd{openat(top_, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (!fd) return errno_error(errno, "open " + (path_ / name).string());
    HF_ASSIGN(const auto listing, list_directory(std::move(fd), path_ / name));
    while (const dirent* entry = readdir(listing.get())) {
      const std::string_view inner = entry->d_name;
      if (inner == "." || inner == "..") continue;
      HF_TRY(take(dirfd(listing.get()), entry->d_name, Level::below));
    }
    // What the listing missed while it changed is found in the next pass.
    if (unlinkat(top_, name, AT_REMOVEDIR) != 0 && errno != ENOENT && errno != ENOTEMPTY)
      return errno_error(errno, "remove " + (path_ / name).string());
    return ok();
  }

  Status raise(int parent, const char* name) {
    for (;;) {
      const auto own = fmt::format(".removed-{}", next_++);
      if (renameat2(parent, name, top_, own.c_str(), RENAME_NOREPLACE) == 0) return ok();
      if (errno != EEXIST) return errno_error(errno, "move up " + (path_ / name).string());
    }
  }

  int top_;
  dev_t device_;
  const std::filesystem::path& path_;
  std::uint64_t next_ = 0;
};

/// Removes everything below the open directory `fd`; stays on the device `device`.
Status empty_directory(UniqueFd fd, dev_t device, const std::filesystem::path& path) {
  HF_ASSIGN(const auto listing, list_directory(std::move(fd), path));
  Removal removal{dirfd(listing.get()), device, path};
  constexpr int kMostPasses = 1'000'000;  // a level of a chain of directories takes one
  for (int i = 0; i < kMostPasses; ++i) {
    HF_ASSIGN(const std::size_t removed, removal.pass(listing.get()));
    if (removed == 0) return ok();
    rewinddir(listing.get());
  }
  return Error{Errc::busy, fmt::format("remove {}: somebody goes on writing to it", path.string())};
}

/// Of what was to be made in `directory`. The kernel has one error for a disk without blocks and
/// one without inodes; people do not.
Error creation_error(int error, const std::string& doing, const std::filesystem::path& directory) {
  struct statvfs room {};
  const bool inodes = error == ENOSPC && statvfs(directory.c_str(), &room) == 0 &&
                      room.f_files > 0 && room.f_favail == 0;
  if (!inodes) return errno_error(error, doing);
  return Error{Errc::nospace, doing + ": no inodes are left on its file system"}.hint(
      "remove small files there, or recreate the file system with more inodes (mkfs -N)");
}

}  // namespace

Result<UniqueFd> open_file(const std::filesystem::path& path, int flags, mode_t mode) {
  UniqueFd fd{::open(path.c_str(), flags | O_CLOEXEC, mode)};
  if (!fd) return errno_error(errno, "open " + path.string());
  return fd;
}

namespace {

Result<std::string> read_whole(const UniqueFd& fd, const std::filesystem::path& path,
                               std::size_t limit) {
  std::string data;
  // Most files are small; those of /proc and /sys do not say their size.
  struct stat info {};
  const bool known = ::fstat(fd.get(), &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0;
  constexpr std::size_t kLeast = 4U << 10;
  constexpr std::size_t kMost = 64U << 10;
  std::size_t chunk =
      known ? std::clamp(static_cast<std::size_t>(info.st_size) + 1, kLeast, kMost) : kLeast;
  for (;;) {
    const std::size_t have = data.size();
    data.resize(have + chunk);
    const ssize_t got = ::read(fd.get(), data.data() + have, chunk);
    if (got < 0 && errno == EINTR) {
      data.resize(have);
      continue;
    }
    if (got < 0) return errno_error(errno, "read " + path.string());
    data.resize(have + static_cast<std::size_t>(got));
    chunk = static_cast<std::size_t>(got) == chunk ? kMost : kLeast;
    if (data.size() > limit)
      return Error{Errc::too_large,
                   fmt::format("{} is larger than {} bytes", path.string(), limit)};
    if (got == 0) {
      data.shrink_to_fit();
      return data;
    }
  }
}

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit) {
  HF_ASSIGN(const auto fd, open_file(path, O_RDONLY));
  return read_whole(fd, path, limit);
}

Result<std::string> read_regular_file(const std::filesystem::path& path, std::size_t limit) {
  HF_ASSIGN(const auto fd, open_file(path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return errno_error(errno, "stat " + path.string());
  if (!S_ISREG(info.st_mode)) return Error{Errc::io, path.string() + " is no regular file"};
  return read_whole(fd, path, limit);
}

Status write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t wrote = ::write(fd, data.data(), data.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return errno_error(errno, "write");
    data.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return ok();
}

Status write_atomic(const std::filesystem::path& path, std::string_view data, mode_t mode,
                    Durability durability) {
  std::string temporary = path.string() + ".XXXXXX";
  UniqueFd fd{mkostemp(temporary.data(), O_CLOEXEC)};
  if (!fd) return creation_error(errno, "create " + temporary, path.parent_path());
  const auto fail = [&](Error error) {
    ::unlink(temporary.c_str());
    return std::move(error).in("write " + path.string());
  };
  if (fchmod(fd.get(), mode) != 0) return fail(errno_error(errno, "chmod"));
  if (auto wrote = write_all(fd.get(), data); !wrote) return fail(std::move(wrote).error());
  if (durability == Durability::durable && fsync(fd.get()) != 0)
    return fail(errno_error(errno, "fsync"));
  if (::rename(temporary.c_str(), path.c_str()) != 0) return fail(errno_error(errno, "rename"));
  if (durability == Durability::lazy) return ok();
  return sync_directory(path.parent_path());
}

Status overwrite_sector(const std::filesystem::path& path, std::string_view data) {
  constexpr std::size_t kSector = 512;
  if (data.size() > kSector)
    return Error{Errc::internal, fmt::format("{} bytes are more than a sector", data.size())};
  HF_ASSIGN(const auto fd, open_file(path, O_WRONLY));
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return errno_error(errno, "stat " + path.string());
  if (info.st_size != static_cast<off_t>(data.size()))
    return Error{Errc::not_found, fmt::format("{} has another length than the {} bytes to write",
                                              path.string(), data.size())};
  const ssize_t put = pwrite(fd.get(), data.data(), data.size(), 0);
  if (put < 0) return errno_error(errno, "write " + path.string());
  if (static_cast<std::size_t>(put) != data.size())
    return Error{Errc::io, "short write to " + path.string()};
  if (fdatasync(fd.get()) != 0) return errno_error(errno, "fdatasync " + path.string());
  return ok();
}

Status make_directories(const std::filesystem::path& path, mode_t mode) {
  if (path.empty() || ::mkdir(path.c_str(), mode) == 0) return ok();
  if (errno == EEXIST) {
    struct stat info {};
    if (stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return ok();
    return Error{Errc::io, fmt::format("{} exists and is not a directory", path.string())};
  }
  if (errno != ENOENT || !path.has_parent_path())
    return creation_error(errno, "mkdir " + path.string(), path.parent_path());
  HF_TRY(make_directories(path.parent_path(), mode));
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST)
    return creation_error(errno, "mkdir " + path.string(), path.parent_path());
  return ok();
}

Status sync_directory(const std::filesystem::path& path) {
  HF_ASSIGN(const auto fd, open_file(path.empty() ? "." : path, O_RDONLY | O_DIRECTORY));
  if (fsync(fd.get()) != 0) return errno_error(errno, "fsync " + path.string());
  return ok();
}

Status remove_tree(const std::filesystem::path& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return ok();
    return errno_error(errno, "stat " + path.string());
  }
  if (!S_ISDIR(info.st_mode)) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT)
      return errno_error(errno, "remove " + path.string());
    return ok();
  }
  HF_ASSIGN(auto fd, open_file(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  HF_TRY(empty_directory(std::move(fd), info.st_dev, path));
  if (::rmdir(path.c_str()) != 0 && errno != ENOENT)
    return errno_error(errno, "remove " + path.string());
  return ok();
}

Result<FileLock> FileLock::acquire(const std::filesystem::path& path) {
  HF_ASSIGN(auto fd, open_file(path, O_RDWR | O_CREAT, 0600));
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return errno_error(errno, "lock " + path.string());
    const auto holder = read_file(path, 64);
    return Error{Errc::busy, fmt::format("{} is in use by pid {}", path.parent_path().string(),
                                         holder && !holder->empty() ? *holder : "?")};
  }
  if (ftruncate(fd.get(), 0) != 0) return errno_error(errno, "truncate " + path.string());
  HF_TRY(write_all(fd.get(), std::to_string(getpid())));
  return FileLock{std::move(fd)};
}

Result<TempDir> TempDir::create(const std::filesystem::path& parent, std::string_view prefix) {
  std::string path = (parent / prefix).string() + ".XXXXXX";
  if (mkdtemp(path.data()) == nullptr) return creation_error(errno, "create " + path, parent);
  return TempDir{path};
}

TempDir::~TempDir() {
  if (!path_.empty()) (void)remove_tree(path_);
}

}  // namespace holdfast::os
