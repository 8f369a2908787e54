#include "agent/worker/unpack/directories.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <memory>

#include "agent/worker/unpack/attributes.hpp"
#include "agent/worker/unpack/path.hpp"
#include "common/base/in_root.hpp"
#include "common/base/text.hpp"

namespace holdfast::agent::worker::unpack {
namespace {

/// openat2 below `root`, following no symlink at all: canonical paths have none.
int open_canonical(int root, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC | O_NOFOLLOW);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const char* name = path.empty() ? "." : path.c_str();
  long fd = 0;
  do {
    fd = syscall(SYS_openat2, root, name, &how, sizeof how);
  } while (fd < 0 && (errno == EAGAIN || errno == EINTR));
  return static_cast<int>(fd);
}

/// Removes everything below the directory; symlinks are removed, never followed.
Status empty_directory(os::UniqueFd fd) {
  struct Closer {
    void operator()(DIR* d) const { closedir(d); }
  };
  const std::unique_ptr<DIR, Closer> dir{fd ? fdopendir(fd.get()) : nullptr};
  if (!dir) return errno_error(errno, "open a directory to replace");
  const int at = fd.release();
  while (const dirent* entry = readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (unlinkat(at, entry->d_name, 0) == 0) continue;
    if (errno != EISDIR) return errno_error(errno, "remove " + printable(name));
    HF_TRY(empty_directory(
        os::UniqueFd{openat(at, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)}));
    if (unlinkat(at, entry->d_name, AT_REMOVEDIR) != 0)
      return errno_error(errno, "remove " + printable(name));
  }
  return ok();
}

/// Names in the archive are bounded by `components`; symlinks make longer ones of them.
Status check_depth(std::string_view path) {
  if (std::count(path.begin(), path.end(), '/') < static_cast<std::ptrdiff_t>(kMaxDepth))
    return ok();
  return Error{Errc::layer_limit,
               fmt::format("a path of more than {} directories through symlinks", kMaxDepth)};
}

bool missing(int error) { return error == ENOENT || error == ENOTDIR || error == ELOOP; }

}  // namespace

Directories::Directories(int root, int lowers) : root_(root), lowers_(lowers) { records_[""]; }

bool Directories::hidden(const std::string& path) const {
  // The layer's own whiteouts and opaque directories hide the lowers, on the path itself or above
  // it.
  for (std::size_t end = 0; end != std::string::npos;) {
    end = path.find('/', end == 0 ? 0 : end + 1);
    const std::string upto = path.substr(0, end);
    const auto [parent, name] = split_last(upto);
    const auto record = records_.find(parent);
    if (record != records_.end() && record->second.opaque) return true;
    if (whiteouts_.contains({parent, name})) return true;
  }
  return false;
}

Result<std::optional<os::UniqueFd>> Directories::open_lower(const std::string& path) const {
  if (lowers_ < 0 || hidden(path)) return std::optional<os::UniqueFd>{};
  os::UniqueFd fd{open_canonical(lowers_, path, O_PATH)};
  if (!fd && missing(errno)) return std::optional<os::UniqueFd>{};
  if (!fd) return errno_error(errno, "look at lower layers: " + printable(path));
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return errno_error(errno, "stat");
  if (S_ISCHR(info.st_mode) && info.st_rdev == 0)
    return std::optional<os::UniqueFd>{};  // a whiteout, not merged
  return std::optional<os::UniqueFd>{std::move(fd)};
}

Result<os::UniqueFd> Directories::open_lower_file(const std::string& path) const {
  os::UniqueFd fd{open_canonical(lowers_, path, O_RDONLY)};
  if (!fd) return errno_error(errno, "open in lower layers: " + printable(path));
  return fd;
}

Result<Directories::Found> Directories::look_in_lowers(const std::string& path) const {
  HF_ASSIGN(const auto fd, open_lower(path));
  if (!fd) return Found{};
  struct stat info {};
  if (fstat(fd->get(), &info) != 0) return errno_error(errno, "stat");
  if (S_ISDIR(info.st_mode)) return Found{Found::Kind::directory, {}};
  if (!S_ISLNK(info.st_mode)) return Found{};  // a file gives way to the directory
  std::array<char, PATH_MAX> target{};
  const ssize_t size = readlinkat(fd->get(), "", target.data(), target.size());
  if (size < 0) return errno_error(errno, "read symlink " + printable(path));
  return Found{Found::Kind::symlink, {target.data(), static_cast<std::size_t>(size)}};
}

Result<Directories::Found> Directories::look(const std::string& path) const {
  if (records_.contains(path)) return Found{Found::Kind::directory, {}};
  struct stat info {};
  if (fstatat(root_, path.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno != ENOENT) return errno_error(errno, "stat " + printable(path));
    return look_in_lowers(path);
  }
  if (!S_ISLNK(info.st_mode)) return Found{Found::Kind::other, {}};
  std::array<char, PATH_MAX> target{};
  const ssize_t size = readlinkat(root_, path.c_str(), target.data(), target.size());
  if (size < 0) return errno_error(errno, "read symlink " + printable(path));
  return Found{Found::Kind::symlink, {target.data(), static_cast<std::size_t>(size)}};
}

Result<std::optional<std::string>> Directories::ensure(const std::string& path) {
  HF_ASSIGN(Found found, look(path));
  if (found.kind == Found::Kind::symlink) return std::optional{std::move(found.target)};
  const auto [parent, name] = split_last(path);
  if (found.kind == Found::Kind::other) HF_TRY(remove(parent, name));
  if (!records_.contains(path)) HF_TRY(make(path));
  return std::optional<std::string>{};
}

Result<std::string> Directories::ensure_parent(const std::vector<std::string>& components) {
  std::string path;
  for (std::size_t i = 0; i + 1 < components.size(); ++i) path += "/" + components[i];
  return walk_in_root(
      path, [this](const std::string& at) { return ensure(at); }, Errc::layer_unsafe);
}

Status Directories::make(const std::string& path) {
  constexpr std::size_t kMaxPath = 4096;
  if (path.size() >= kMaxPath)
    return Error{Errc::layer_limit, "a path of more than 4096 bytes through symlinks"};
  HF_TRY(check_depth(path));
  if (mkdirat(root_, path.c_str(), 0700) != 0)
    return errno_error(errno, "create directory " + printable(path));
  // What it looks like is said by the last layer that named it. The lowers do not tell which one
  // that is: in them it looks as the topmost one made it, which may not have named it either.
  records_[path];
  return ok();
}

Status Directories::declare(const std::string& parent, const std::string& name,
                            const Attributes& attributes) {
  const std::string path = join(parent, name);
  if (auto known = records_.find(path); known != records_.end()) {
    known->second.implicit = false;
    known->second.attributes = attributes;
    return ok();
  }
  HF_TRY(check_depth(path));
  HF_ASSIGN(const int fd, open(parent));
  if (mkdirat(fd, name.c_str(), 0700) != 0) {
    if (errno != EEXIST) return errno_error(errno, "create directory " + printable(path));
    HF_TRY(remove(parent, name));
    if (mkdirat(root_, path.c_str(), 0700) != 0)
      return errno_error(errno, "create directory " + printable(path));
  }
  records_[path] = DirectoryRecord{.implicit = false, .opaque = false, .attributes = attributes};
  return ok();
}

void Directories::declare_root(const Attributes& attributes) {
  auto& record = records_[""];
  record.implicit = false;
  record.attributes = attributes;
}

Result<int> Directories::open(const std::string& path) {
  if (open_fd_ && open_path_ == path) return open_fd_.get();
  open_fd_.reset(open_canonical(root_, path, O_RDONLY | O_DIRECTORY));
  if (!open_fd_) return errno_error(errno, "open directory " + printable(path));
  open_path_ = path;
  return open_fd_.get();
}

Status Directories::remove(const std::string& parent, const std::string& name) {
  const std::string path = join(parent, name);
  if (!records_.contains(path)) {
    if (unlinkat(root_, path.c_str(), 0) != 0 && errno != ENOENT)
      return errno_error(errno, "replace " + printable(path));
    return ok();
  }
  // Deepest first: records are sorted, so everything below the path follows it.
  open_fd_.reset();
  const std::string below = path + "/";
  HF_TRY(empty_directory(os::UniqueFd{open_canonical(root_, path, O_RDONLY | O_DIRECTORY)}));
  if (unlinkat(root_, path.c_str(), AT_REMOVEDIR) != 0)
    return errno_error(errno, "replace " + printable(path));
  std::erase_if(records_,
                [&](const auto& r) { return r.first == path || r.first.starts_with(below); });
  std::erase_if(whiteouts_,
                [&](const auto& w) { return w.first == path || w.first.starts_with(below); });
  return ok();
}

Status Directories::make_whiteout(const std::string& parent, const std::string& name) {
  const auto record = records_.find(parent);
  if (record == records_.end()) return ok();
  const std::string path = join(parent, name);
  if (const auto same = records_.find(path); same != records_.end()) {
    // A directory of this layer where the layer also removes the lower one: nothing of the lower
    // may show through.
    same->second.opaque = true;
    same->second.implicit = false;
    return ok();
  }
  if (record->second.opaque)
    return ok();  // packaging/doc/security.md 2.4: a whiteout in an opaque directory shows as a
                  // ghost
  HF_ASSIGN(const int fd, open(parent));
  if (mknodat(fd, name.c_str(), S_IFCHR | 0, makedev(0, 0)) != 0) {
    if (errno == EEXIST) return ok();  // an entry of this layer hides the lower one by itself
    return errno_error(errno, "create whiteout " + printable(path));
  }
  whiteout_parents_.insert(parent);
  return ok();
}

Status Directories::finish(std::uint64_t& unsupported_xattrs) {
  // Directories become opaque before plain whiteouts are made in them, whatever the order in the
  // archive.
  for (const auto& [parent, name] : whiteouts_) {
    if (records_.contains(join(parent, name))) HF_TRY(make_whiteout(parent, name));
  }
  for (const auto& [parent, name] : whiteouts_) HF_TRY(make_whiteout(parent, name));
  for (auto it = records_.rbegin(); it != records_.rend(); ++it) {
    HF_ASSIGN(const int fd, open(it->first));
    if (it->second.opaque && fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0) != 0)
      return errno_error(errno, "mark the directory opaque: " + printable(it->first));
    auto done = set_attributes(fd, it->second.attributes, unsupported_xattrs);
    if (!done) return std::move(done).error().in("directory " + printable(it->first));
  }
  return ok();
}

std::vector<std::string> Directories::implicit_directories() const {
  std::vector<std::string> out;
  for (const auto& [path, record] : records_) {
    if (record.implicit) out.push_back(path);
  }
  return out;
}

}  // namespace holdfast::agent::worker::unpack
