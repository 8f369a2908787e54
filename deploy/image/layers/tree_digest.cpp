#include "deploy/image/layers/tree_digest.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include "common/base/text.hpp"
#include "common/crypto/sha256.hpp"
#include "common/os/file.hpp"

namespace holdfast::deploy::image {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

class Walk {
 public:
  explicit Walk(const ContentSum& content) : content_(content) {}

  Status directory(os::UniqueFd fd, const std::string& path) {
    HF_ASSIGN(const auto names, names_in(fd));
    for (const auto& name : names) {
      struct stat info {};
      if (fstatat(fd.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
        return errno_error(errno, "stat " + printable(path + name));
      HF_TRY(entry(fd.get(), path, name, info));
      if (!S_ISDIR(info.st_mode)) continue;
      os::UniqueFd below{
          openat(fd.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
      if (!below) return errno_error(errno, "open " + printable(path + name));
      HF_TRY(directory(std::move(below), path + name + "/"));
    }
    hash_.update(std::string_view{"\0up\0", 4});
    return ok();
  }

  /// The root itself has no name.
  Status root(const os::UniqueFd& fd, const std::string& path) {
    struct stat info {};
    if (fstat(fd.get(), &info) != 0) return errno_error(errno, "stat " + path);
    add(fmt::format("root {:o} {} {} {}.{}", info.st_mode, info.st_uid, info.st_gid,
                    info.st_mtim.tv_sec, info.st_mtim.tv_nsec));
    return attributes(path);
  }

  std::string finish() { return hash_.finish_hex(); }

 private:
  static Result<std::vector<std::string>> names_in(const os::UniqueFd& fd) {
    const int own = fcntl(fd.get(), F_DUPFD_CLOEXEC, 3);
    const std::unique_ptr<DIR, CloseDirectory> stream{own < 0 ? nullptr : ::fdopendir(own)};
    if (!stream) return errno_error(errno, "read a directory");
    std::vector<std::string> names;
    for (errno = 0; const dirent* each = ::readdir(stream.get());) {
      const std::string_view name{each->d_name};
      if (name != "." && name != "..") names.emplace_back(name);
    }
    if (errno != 0) return errno_error(errno, "read a directory");
    std::sort(names.begin(), names.end());
    return names;
  }

  Status entry(int at, const std::string& path, const std::string& name, const struct stat& info) {
    const bool directory = S_ISDIR(info.st_mode);
    std::uint64_t content = 0;
    std::string target;
    if (S_ISREG(info.st_mode)) {
      auto sum = content_(at, name.c_str(), info);
      if (!sum) return std::move(sum).error().in(printable(path + name));
      content = *sum;
    } else if (S_ISLNK(info.st_mode)) {
      std::array<char, 4096> text;
      const ssize_t size = readlinkat(at, name.c_str(), text.data(), text.size());
      if (size < 0) return errno_error(errno, "read the link " + printable(path + name));
      target.assign(text.data(), static_cast<std::size_t>(size));
    }
    add(name);
    add(fmt::format("{:o} {} {} {} {}.{} {} {:016x}", info.st_mode, info.st_uid, info.st_gid,
                    directory ? 0 : info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec,
                    info.st_rdev, content));
    add(target);
    return attributes(path + name);
  }

  /// By path: only that reaches those of symlinks and devices. A path longer than the kernel takes
  /// has none, here and when it is looked at again.
  Status attributes(const std::string& path) {
    std::array<char, 16384> names;
    const ssize_t size = llistxattr(path.c_str(), names.data(), names.size());
    if (size < 0 && errno != ENOTSUP && errno != ENAMETOOLONG && errno != ENOENT)
      return errno_error(errno, "list extended attributes of " + printable(path));
    if (size <= 0) return ok();
    std::vector<std::string> sorted;
    std::string_view rest{names.data(), static_cast<std::size_t>(size)};
    while (!rest.empty()) {
      sorted.emplace_back(rest.substr(0, rest.find('\0')));
      rest.remove_prefix(sorted.back().size() + 1);
    }
    std::sort(sorted.begin(), sorted.end());
    for (const auto& name : sorted) {
      if (name == "security.selinux") continue;  // the host's, not the image's
      const ssize_t got = lgetxattr(path.c_str(), name.c_str(), value_.data(), value_.size());
      if (got < 0) return errno_error(errno, "read extended attribute " + printable(name));
      add(name);
      add(std::string_view{value_}.substr(0, static_cast<std::size_t>(got)));
    }
    return ok();
  }

  /// Length first, so that no two sequences of texts look the same.
  void add(std::string_view text) {
    hash_.update(fmt::format("{}:", text.size()));
    hash_.update(text);
  }

  const ContentSum& content_;
  crypto::Sha256 hash_;
  std::string value_ = std::string(64U << 10, '\0');  ///< of one attribute
};

}  // namespace

Result<std::string> tree_digest(const std::string& root, const ContentSum& content) {
  HF_ASSIGN(auto fd, os::open_file(root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  Walk walk{content};
  HF_TRY(walk.root(fd, root));
  HF_TRY(walk.directory(std::move(fd), root.ends_with('/') ? root : root + "/"));
  return walk.finish();
}

}  // namespace holdfast::deploy::image
