#include "deploy/runtime/storage/rootfs.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "deploy/runtime/spec/root_path.hpp"
#include "deploy/runtime/storage/mounts.hpp"

namespace holdfast::deploy::runtime {
namespace {

enum class PointKind : std::uint8_t { directory, file };

struct MountPoint {
  std::string path;  ///< real, in-root
  PointKind kind = PointKind::directory;
  mode_t mode = 0755;
};

Result<os::UniqueFd> open_root(const std::filesystem::path& root) {
  return os::open_file(root, O_RDONLY | O_DIRECTORY);
}

/// The runtime mounts its own /dev, /proc and /sys; a symlink there would send that elsewhere.
Status check_reserved(int root) {
  for (const char* name : {"dev", "proc", "sys"}) {
    struct stat info {};
    if (fstatat(root, name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (!S_ISDIR(info.st_mode))
      return Error{Errc::runtime,
                   fmt::format("/{} in the root file system is not a directory", name)}
          .hint("repair the image");
  }
  return ok();
}

/// The document may not mount there, so the image may not lead what it mounts there.
Status check_led(const std::string& wanted, const std::string& real) {
  if (clean_path(wanted) == real) return ok();
  for (const auto* place : {"/proc", "/sys", "/dev"})
    if (is_within(real, place))
      return Error{
          Errc::runtime,
          fmt::format("{} leads to {} by a symlink in the root file system, where nothing may be "
                      "mounted",
                      printable(wanted), printable(real))}
          .hint("mount it somewhere else, or repair the image");
  return ok();
}

PointKind kind_of(const BundleMount& mount) {
  struct stat info {};
  const bool bind = mount.type == "bind";
  if (bind && ::stat(mount.source.c_str(), &info) == 0 && !S_ISDIR(info.st_mode))
    return PointKind::file;
  return PointKind::directory;
}

/// A file covers files only, a directory directories.
Status check_kind(const BundleMount& mount, int there) {
  struct stat info {};
  if (fstat(there, &info) != 0) return errno_error(errno, "stat " + printable(mount.destination));
  const bool file = kind_of(mount) == PointKind::file;
  if (file != S_ISDIR(info.st_mode)) return ok();
  return Error{Errc::runtime,
               fmt::format("{} is a {} in the image, and what the document mounts there is a {}",
                           printable(mount.destination), file ? "directory" : "file",
                           file ? "file" : "directory")}
      .hint(file ? fmt::format("mount it at a path in it: target: {}/NAME",
                               printable(mount.destination))
                 : std::string{"mount a file there, or the directory somewhere else"});
}

/// The runtime gives a tmpfs the mode of the directory it covers, whatever its options say.
mode_t mode_of(const BundleMount& mount) {
  const auto& options = mount.options;
  const bool open = mount.type == "tmpfs" &&
                    std::find(options.begin(), options.end(), "mode=1777") != options.end();
  return open ? 01777 : 0755;
}

/// Mount points that the root lacks, outside of what earlier mounts cover.
Result<std::vector<MountPoint>> lacking(int root, const std::vector<BundleMount>& mounts) {
  std::vector<std::string> covered;
  std::vector<MountPoint> out;
  for (const auto& mount : mounts) {
    HF_ASSIGN(const auto real, resolve_in_root(root, mount.destination));
    const bool below = std::any_of(covered.begin(), covered.end(),
                                   [&](const auto& c) { return is_within(real, c); });
    covered.push_back(real);
    if (below || open_in_root(root, real, O_PATH)) continue;
    out.push_back({.path = real, .kind = kind_of(mount), .mode = mode_of(mount)});
  }
  return out;
}

/// mkdir -p inside `root`; existing parts stay as they are.
Status make_in_root(int root, const MountPoint& point) {
  const auto parts = split(std::string_view{point.path}.substr(1), '/');
  std::string so_far;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string parent = so_far.empty() ? "/" : so_far;
    so_far += fmt::format("/{}", parts[i]);
    if (open_in_root(root, so_far, O_PATH | O_NOFOLLOW)) continue;
    HF_ASSIGN(const auto directory, open_in_root(root, parent, O_PATH | O_DIRECTORY));
    const std::string name{parts[i]};
    const bool last = i + 1 == parts.size();
    if (last && point.kind == PointKind::file) {
      os::UniqueFd file{
          openat(directory.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444)};
      if (!file) return errno_error(errno, "create mount point " + printable(so_far));
    } else if (mkdirat(directory.get(), name.c_str(), 0755) != 0 ||
               (last && fchmodat(directory.get(), name.c_str(), point.mode, 0) != 0)) {
      return errno_error(errno, "create mount point " + printable(so_far));
    }
  }
  return ok();
}

std::vector<std::filesystem::path> stack(const Paths& paths, const plan::InstanceId& id,
                                         const image::StoredImage& image) {
  auto lowers = image.lowers;
  lowers.push_back(paths.kept(id) / "top");
  return lowers;
}

/// A mount by its real place in the root.
struct Covered {
  std::string place;
  const BundleMount* mount;
};

/// Whoever writes to a volume may lead elsewhere what is mounted below it: the runtime would
/// follow.
Status check_not_led_in(const BundleMount& volume, const std::string& below) {
  std::string path = volume.source;
  for (const auto part : split(below, '/')) {
    if (part.empty()) continue;
    path += fmt::format("/{}", part);
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) return ok();  // the runtime makes it
    if (S_ISLNK(info.st_mode))
      return Error{Errc::runtime,
                   fmt::format("{} is mounted below {}, and leads elsewhere by a symlink there",
                               printable(below), printable(volume.destination))}
          .hint("remove the symlink from the volume, or mount it somewhere else");
  }
  return ok();
}

}  // namespace

Result<os::UniqueFd> mount_root(const Paths& paths, const plan::InstanceId& id,
                                const image::StoredImage& image, RootAccess access) {
  if (image.lowers.empty()) return Error{Errc::internal, "an image without layers"};
  const auto target = paths.rootfs(id);
  HF_TRY(os::make_directories(target));
  HF_TRY(os::make_directories(paths.kept(id) / "top", 0755));
  Overlay overlay{.lowers = stack(paths, id, image), .upper = {}, .work = {}};
  if (access == RootAccess::writable) {
    overlay.upper = paths.kept(id) / "upper";
    overlay.work = paths.kept(id) / "work";
    HF_TRY(os::make_directories(overlay.upper, 0755));
    HF_TRY(os::make_directories(overlay.work));
  }
  HF_TRY(mount_overlay(overlay, target));
  HF_ASSIGN(auto root, open_root(target));
  HF_TRY(check_reserved(root.get()));
  return root;
}

Status check_mount_points(int root, const std::vector<BundleMount>& mounts) {
  std::vector<Covered> covered;
  for (const auto& mount : mounts) {
    HF_ASSIGN(const auto real, resolve_in_root(root, mount.destination));
    HF_TRY(check_led(mount.destination, real));
    const auto above = std::find_if(covered.rbegin(), covered.rend(),
                                    [&](const auto& c) { return is_within(real, c.place); });
    const bool below = above != covered.rend();
    if (below && above->mount->type == "bind")
      HF_TRY(check_not_led_in(*above->mount, real.substr(above->place.size())));
    covered.push_back({real, &mount});
    const auto there = open_in_root(root, real, O_PATH);
    if (!below && there) HF_TRY(check_kind(mount, there->get()));
  }
  return ok();
}

Status check_root_again(const Paths& paths, const plan::InstanceId& id,
                        const std::vector<BundleMount>& mounts) {
  HF_ASSIGN(const auto root, open_root(paths.rootfs(id)));
  HF_TRY(check_reserved(root.get()));
  return check_mount_points(root.get(), mounts);
}

Result<os::UniqueFd> add_mount_points(const Paths& paths, const plan::InstanceId& id,
                                      const image::StoredImage& image, os::UniqueFd root,
                                      const std::vector<BundleMount>& mounts) {
  HF_ASSIGN(const auto missing, lacking(root.get(), mounts));
  if (missing.empty()) return root;
  const auto target = paths.rootfs(id);
  root.reset();
  HF_TRY(unmount_below(target));

  // With the top as an upper for a moment, the kernel copies parent directories up with all their
  // attributes.
  const auto work = paths.kept(id) / "top.work";
  HF_TRY(os::make_directories(work));
  HF_TRY(mount_overlay({.lowers = image.lowers, .upper = paths.kept(id) / "top", .work = work},
                       target));
  HF_ASSIGN(auto writable, open_root(target));
  for (const auto& point : missing) HF_TRY(make_in_root(writable.get(), point));
  writable.reset();
  HF_TRY(unmount_below(target));
  HF_TRY(os::remove_tree(work));

  HF_TRY(mount_overlay({.lowers = stack(paths, id, image), .upper = {}, .work = {}}, target));
  return open_root(target);
}

}  // namespace holdfast::deploy::runtime
