#include "deploy/image/layers/top_layer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <map>

#include "common/base/text.hpp"
#include "common/os/file.hpp"

namespace holdfast::deploy::image {
namespace {

/// Directories that the runtime mounts over. A symlink in the place of the first three is hostile:
/// it is covered.
constexpr std::array kCovered = {"proc", "dev", "sys"};
constexpr std::array kDirectories = {"run", "tmp", "run/secrets"};
constexpr std::array kFiles = {"etc/hosts", "etc/hostname", "etc/resolv.conf"};

Status copy_xattrs(int from, int to) {
  std::array<char, 16384> names{};
  const ssize_t size = flistxattr(from, names.data(), names.size());
  std::string_view rest{names.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
  while (!rest.empty()) {
    const std::string name{rest.substr(0, rest.find('\0'))};
    rest.remove_prefix(name.size() + 1);
    const bool overlay =
        name.starts_with("trusted.overlay.") && !name.starts_with("trusted.overlay.overlay.");
    if (overlay || name == "security.selinux") continue;
    std::string value(64U << 10, '\0');
    const ssize_t got = fgetxattr(from, name.c_str(), value.data(), value.size());
    if (got < 0) return errno_error(errno, "read extended attribute " + printable(name));
    if (fsetxattr(to, name.c_str(), value.data(), static_cast<std::size_t>(got), 0) != 0)
      return errno_error(errno, "set extended attribute " + printable(name));
  }
  return ok();
}

class Top {
 public:
  Top(MergedView& stack, std::filesystem::path tree) : stack_(stack), tree_(std::move(tree)) {}

  /// Makes the directory and those above it, to look as the merged view below does.
  Status directory(const std::string& path) {
    if (made_.contains(path)) return ok();
    if (!path.empty()) {
      HF_TRY(directory(parent_of(path)));
      if (::mkdir((tree_ / path).c_str(), 0700) != 0)
        return errno_error(errno, "create " + printable(path));
    }
    HF_ASSIGN(const MergedNode below, stack_.look(path));
    made_[path] =
        below.kind == MergedNode::Kind::directory ? stack_.owner(below, path) : std::nullopt;
    return ok();
  }

  Status directory_if_absent(const std::string& path) {
    HF_ASSIGN(const std::string where, stack_.resolve(path));
    HF_ASSIGN(const MergedNode found, stack_.look(where));
    if (found.kind != MergedNode::Kind::absent) return ok();
    return directory_below_directories(where);
  }

  Status empty_file(const std::string& path) {
    HF_ASSIGN(const std::string parent, stack_.resolve(parent_of(path)));
    const std::string where =
        (std::filesystem::path{parent} / std::filesystem::path{path}.filename()).string();
    HF_ASSIGN(const MergedNode found, stack_.look(where));
    if (found.kind == MergedNode::Kind::directory) return ok();
    if (found.kind == MergedNode::Kind::other) return ok();
    HF_TRY(directory_below_directories(parent));
    if (!made_.contains(parent)) return ok();
    const os::UniqueFd fd{
        ::open((tree_ / where).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)};
    if (!fd) return errno_error(errno, "create " + printable(where));
    const std::array<timespec, 2> epoch{};
    if (fchmod(fd.get(), 0644) != 0 || futimens(fd.get(), epoch.data()) != 0)
      return errno_error(errno, "set attributes of " + printable(where));
    return ok();
  }

  /// Deepest first, so that times last.
  Status finish() {
    HF_TRY(directory(""));
    for (auto it = made_.rbegin(); it != made_.rend(); ++it) HF_TRY(dress(it->first, it->second));
    return ok();
  }

 private:
  /// Not where a file of the image is on the way: that is the image's affair and shows at its
  /// start.
  Status directory_below_directories(const std::string& path) {
    for (std::string up = path; !up.empty(); up = parent_of(up)) {
      HF_ASSIGN(const MergedNode found, stack_.look(up));
      if (found.kind == MergedNode::Kind::other || found.kind == MergedNode::Kind::symlink)
        return ok();
    }
    return directory(path);
  }

  Status dress(const std::string& path, std::optional<std::size_t> owner) {
    HF_ASSIGN(const auto ours, os::open_file(tree_ / path, O_RDONLY | O_DIRECTORY));
    struct stat info {};
    info.st_mode = path == "tmp" ? 01777 : 0755;
    if (owner) {
      HF_ASSIGN(const auto theirs, os::open_file(stack_.layer(*owner).tree / path,
                                                 O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
      if (fstat(theirs.get(), &info) != 0) return errno_error(errno, "stat " + printable(path));
      HF_TRY(copy_xattrs(theirs.get(), ours.get()));
    }
    const std::array<timespec, 2> times{info.st_mtim, info.st_mtim};
    if (fchown(ours.get(), info.st_uid, info.st_gid) != 0 ||
        fchmod(ours.get(), info.st_mode & 07777U) != 0 || futimens(ours.get(), times.data()) != 0)
      return errno_error(errno, "set attributes of " + printable(path));
    return ok();
  }

  MergedView& stack_;
  std::filesystem::path tree_;
  std::map<std::string, std::optional<std::size_t>> made_;
};

}  // namespace

Status build_top_layer(MergedView& stack,
                       const std::vector<std::set<std::string>>& whiteout_parents,
                       const std::filesystem::path& tree) {
  Top top{stack, tree};
  for (std::size_t i = 0; i < stack.size(); ++i) {
    for (const auto& path : stack.layer(i).implicit) {
      HF_ASSIGN(const MergedNode node, stack.look(path));
      if (node.kind != MergedNode::Kind::directory || node.layers.front() != i) continue;
      if (stack.owner(node, path)) HF_TRY(top.directory(path));
    }
    for (const auto& path : whiteout_parents[i]) {
      HF_ASSIGN(const MergedNode node, stack.look(path));
      if (node.kind == MergedNode::Kind::directory && node.layers.size() == 1)
        HF_TRY(top.directory(path));
    }
  }
  for (const char* path : kCovered) {
    HF_ASSIGN(const MergedNode node, stack.look(path));
    if (node.kind != MergedNode::Kind::directory) HF_TRY(top.directory(path));
  }
  for (const char* path : kDirectories) HF_TRY(top.directory_if_absent(path));
  for (const char* path : kFiles) HF_TRY(top.empty_file(path));
  return top.finish();
}

}  // namespace holdfast::deploy::image
