#include "deploy/runtime/storage/volume.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>

#include "common/base/text.hpp"
#include "common/os/disk_floor.hpp"
#include "common/os/file.hpp"
#include "common/os/sparse.hpp"
#include "deploy/runtime/spec/root_path.hpp"

namespace holdfast::deploy::runtime {
namespace {

using Listing = std::unique_ptr<DIR, decltype([](DIR* dir) { ::closedir(dir); })>;

Result<Listing> list(int directory) {
  os::UniqueFd own{::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!own) return errno_error(errno, "open directory");
  Listing listing{::fdopendir(own.get())};
  if (!listing) return errno_error(errno, "list directory");
  (void)own.release();
  return listing;
}

/// Owner first: a change of it takes the set-user-id bits away.
Status take_attributes(int fd, const struct stat& of) {
  const timespec times[2] = {of.st_atim, of.st_mtim};
  if (::fchown(fd, of.st_uid, of.st_gid) != 0) return errno_error(errno, "chown");
  if (::fchmod(fd, of.st_mode & 07777) != 0) return errno_error(errno, "chmod");
  if (::futimens(fd, times) != 0) return errno_error(errno, "set times");
  return ok();
}

Status copy_link(int from_dir, int to_dir, const char* name, const struct stat& info) {
  std::array<char, 4096> target{};
  const ssize_t length = ::readlinkat(from_dir, name, target.data(), target.size() - 1);
  if (length < 0) return errno_error(errno, "read link");
  if (::symlinkat(target.data(), to_dir, name) != 0) return errno_error(errno, "make link");
  if (::fchownat(to_dir, name, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW) != 0)
    return errno_error(errno, "chown");
  return ok();
}

class Copy {
 public:
  Copy(const VolumeBounds& bounds, const os::DiskFloor& floor, std::stop_token stop)
      : bounds_(bounds), floor_(floor), stop_(std::move(stop)) {}

  /// Everything in `from` into `to`, which is empty. Two descriptors a level.
  Status tree(int from, int to, int level) {
    if (level > bounds_.levels)
      return Error{Errc::runtime, fmt::format("more than {} levels", bounds_.levels)};
    HF_ASSIGN(const auto listing, list(from));
    while (const auto* entry = ::readdir(listing.get())) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (++entries_ > bounds_.entries)
        return Error{Errc::runtime, fmt::format("more than {} entries", bounds_.entries)};
      HF_TRY(floor_.count(0, 1));
      auto done = one(from, to, entry->d_name, level);
      if (!done) return std::move(done).error().in(printable(name));
    }
    return ok();
  }

 private:
  Status file(int from_dir, int to_dir, const char* name, const struct stat& info) {
    const os::UniqueFd from{::openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
    const os::UniqueFd to{
        ::openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
    if (!from || !to) return errno_error(errno, "open");
    HF_TRY(os::copy_sparse(from.get(), to.get(), static_cast<std::uint64_t>(info.st_size), floor_,
                           stop_));
    return take_attributes(to.get(), info);
  }

  Status one(int from, int to, const char* name, int level) {
    struct stat info {};
    if (::fstatat(from, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return errno_error(errno, "stat");
    if (S_ISREG(info.st_mode)) return file(from, to, name, info);
    if (S_ISLNK(info.st_mode)) return copy_link(from, to, name, info);
    if (!S_ISDIR(info.st_mode)) return ok();  // devices, sockets and pipes are no data
    if (::mkdirat(to, name, 0700) != 0) return errno_error(errno, "mkdir");
    constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    const os::UniqueFd inner_from{::openat(from, name, kFlags)};
    const os::UniqueFd inner_to{::openat(to, name, kFlags)};
    if (!inner_from || !inner_to) return errno_error(errno, "open");
    HF_TRY(tree(inner_from.get(), inner_to.get(), level + 1));
    return take_attributes(inner_to.get(), info);
  }

  const VolumeBounds bounds_;
  os::DiskFloor floor_;
  const std::stop_token stop_;
  std::size_t entries_ = 0;
};

Result<bool> is_empty(int directory) {
  HF_ASSIGN(const auto listing, list(directory));
  while (const auto* entry = ::readdir(listing.get()))
    if (std::string_view{entry->d_name} != "." && std::string_view{entry->d_name} != "..")
      return false;
  return true;
}

Status fill(const NewVolume& wanted, int fresh) {
  struct stat info {};
  if (wanted.content >= 0) {
    if (::fstat(wanted.content, &info) != 0) return errno_error(errno, "stat");
    HF_ASSIGN(const bool empty, is_empty(wanted.content));
    if (!empty || info.st_uid != 0) {
      HF_ASSIGN(const auto keep, os::disk_reserve(fresh));
      HF_TRY((Copy{wanted.bounds, os::DiskFloor{fresh, keep}, wanted.stop}.tree(wanted.content,
                                                                                fresh, 0)));
      return take_attributes(fresh, info);
    }
  }
  if (::fchown(fresh, wanted.user.uid, wanted.user.gid) != 0) return errno_error(errno, "chown");
  return ok();
}

/// Two services may share the name of a volume; those of other names do not wait.
class Turn {
 public:
  explicit Turn(std::string name) : name_(std::move(name)) {
    std::unique_lock lock{mutex()};
    ended().wait(lock, [&] { return taken().insert(name_).second; });
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    const std::lock_guard lock{mutex()};
    taken().erase(name_);
    ended().notify_all();
  }

 private:
  static std::mutex& mutex() {
    static std::mutex one;
    return one;
  }
  static std::condition_variable& ended() {
    static std::condition_variable one;
    return one;
  }
  static std::set<std::string>& taken() {
    static std::set<std::string> names;
    return names;
  }
  const std::string name_;
};

}  // namespace

Result<os::UniqueFd> volume_content(int root, const std::string& target) {
  auto found = open_in_root(root, target, O_RDONLY | O_DIRECTORY);
  if (found) return found;
  const auto code = found.error().code();
  struct stat info {};
  const auto there = open_in_root(root, target, O_PATH);
  const bool is_other = there && ::fstat(there->get(), &info) == 0 && !S_ISDIR(info.st_mode);
  if (code == Errc::not_found || is_other) return os::UniqueFd{};
  return std::move(found).error().in("look at " + printable(target) + " in the image");
}

Status make_volume(const NewVolume& wanted) {
  const Turn turn{wanted.path.string()};
  const auto parent = wanted.path.parent_path();
  struct stat there {};
  if (::lstat(wanted.path.c_str(), &there) == 0) return ok();
  // No name of a volume begins with a dot.
  const auto fresh = parent / ("." + wanted.path.filename().string() + ".new");
  HF_TRY(os::remove_tree(fresh));
  if (::mkdir(fresh.c_str(), 0755) != 0) return errno_error(errno, "mkdir " + fresh.string());
  const auto made = [&]() -> Status {
    HF_ASSIGN(const auto directory, os::open_file(fresh, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    HF_TRY(fill(wanted, directory.get()));
    if (wanted.content >= 0 && ::syncfs(directory.get()) != 0) return errno_error(errno, "sync");
    if (::rename(fresh.c_str(), wanted.path.c_str()) != 0)
      return errno_error(errno, "rename " + fresh.string());
    return ok();
  }();
  if (!made) {
    (void)os::remove_tree(fresh);
    return made;
  }
  return os::sync_directory(parent);
}

}  // namespace holdfast::deploy::runtime
