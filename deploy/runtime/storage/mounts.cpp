#include "deploy/runtime/storage/mounts.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>

#include <algorithm>
#include <cerrno>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::deploy::runtime {
namespace {

std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      int value = 0;
      for (std::size_t k = 1; k <= 3; ++k) value = value * 8 + (text[i + k] - '0');
      out += static_cast<char>(value);
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool has_option(std::string_view options, std::string_view wanted) {
  const auto all = split(options, ',');
  return std::find(all.begin(), all.end(), wanted) != all.end();
}

/// Module parameters decide what an option that is not shown means; a kernel without the file has
/// no such feature.
bool follows_redirects_by_default() {
  const auto value =
      os::read_regular_file("/sys/module/overlay/parameters/redirect_always_follow", 16);
  return value && trim(*value) == "Y";
}

Status check_overlay(const std::filesystem::path& target, bool read_only) {
  HF_ASSIGN(const auto mounts, read_mounts());
  const auto last = std::find_if(mounts.rbegin(), mounts.rend(),
                                 [&](const auto& m) { return m.target == target; });
  if (last == mounts.rend() || last->type != "overlay")
    return Error{Errc::runtime,
                 fmt::format("{} is not an overlay after mounting it", target.string())};
  if (read_only && !has_option(last->options, "ro"))
    return Error{Errc::runtime,
                 fmt::format("{} is not read-only after mounting it so", target.string())};
  for (const auto* bad : {"redirect_dir=on", "redirect_dir=follow", "metacopy=on", "index=on"})
    if (has_option(last->super_options, bad))
      return Error{Errc::runtime, fmt::format("the kernel mounted the overlay with {}", bad)};
  if (!has_option(last->super_options, "redirect_dir=nofollow") && follows_redirects_by_default())
    return Error{Errc::runtime, "the kernel would follow redirects of image layers"}.hint(
        "echo N > /sys/module/overlay/parameters/redirect_always_follow");
  return ok();
}

}  // namespace

std::vector<MountInfo> parse_mountinfo(std::string_view text) {
  std::vector<MountInfo> out;
  for (const auto line : split(text, '\n')) {
    const auto fields = split(line, ' ');
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() < 10 || std::distance(dash, fields.end()) < 4) continue;
    out.push_back({.target = unescape(fields[4]),
                   .type = std::string{dash[1]},
                   .options = std::string{fields[5]},
                   .super_options = std::string{dash[3]}});
  }
  return out;
}

Result<std::vector<MountInfo>> read_mounts() {
  HF_ASSIGN(const auto text, os::read_regular_file("/proc/self/mountinfo"));
  return parse_mountinfo(text);
}

Status make_private_mount(const std::filesystem::path& directory) {
  HF_ASSIGN(const auto mounts, read_mounts());
  const bool mounted = std::any_of(mounts.begin(), mounts.end(),
                                   [&](const auto& m) { return m.target == directory; });
  if (!mounted && ::mount(directory.c_str(), directory.c_str(), nullptr, MS_BIND, nullptr) != 0)
    return errno_error(errno, "bind " + directory.string() + " to itself");
  if (::mount(nullptr, directory.c_str(), nullptr, MS_PRIVATE, nullptr) != 0)
    return errno_error(errno, "make mounts in " + directory.string() + " private");
  return ok();
}

Status mount_overlay(const Overlay& overlay, const std::filesystem::path& target) {
  std::vector<os::UniqueFd> fds;
  const auto by_fd = [&](const std::filesystem::path& path) -> Result<std::string> {
    auto fd = os::open_file(path, O_PATH | O_DIRECTORY);
    if (!fd)
      return Error{Errc::layer_corrupt, fd.error().what()}.hint("run: holdfast image verify");
    fds.push_back(std::move(*fd));
    return fmt::format("/proc/self/fd/{}", fds.back().get());
  };
  std::string options = "redirect_dir=nofollow,metacopy=off,index=off";
  if (!overlay.upper.empty()) {
    HF_ASSIGN(const auto upper, by_fd(overlay.upper));
    HF_ASSIGN(const auto work, by_fd(overlay.work));
    options += fmt::format(",upperdir={},workdir={}", upper, work);
  }
  options += ",lowerdir=";
  for (auto lower = overlay.lowers.rbegin(); lower != overlay.lowers.rend(); ++lower) {
    HF_ASSIGN(const auto name, by_fd(*lower));
    if (lower != overlay.lowers.rbegin()) options += ':';
    options += name;
  }
  const bool read_only = overlay.upper.empty();
  constexpr unsigned long kDevices = MS_NODEV;
  const unsigned long flags = read_only ? kDevices | MS_RDONLY : kDevices;
  if (::mount("overlay", target.c_str(), "overlay", flags, options.c_str()) != 0)
    return Error{Errc::runtime, fmt::format("mount overlay of {} layers: {}", overlay.lowers.size(),
                                            errno_error(errno, target.string()).what())}
        .hint("see the kernel's log: dmesg | grep overlay");
  return check_overlay(target, read_only);
}

Status mount_secret_tmpfs(const std::filesystem::path& target) {
  constexpr unsigned long kFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (::mount("tmpfs", target.c_str(), "tmpfs", kFlags, "size=4m,mode=0755,noswap") == 0)
    return ok();
  if (::mount("tmpfs", target.c_str(), "tmpfs", kFlags, "size=4m,mode=0755") == 0)
    return ok();  // noswap: Linux 6.4
  return errno_error(errno, "mount tmpfs on " + target.string());
}

namespace {

/// Of the mount at `target` and every mount below it. False: this kernel cannot (before 5.12).
Result<bool> set_attributes(const std::filesystem::path& target, mount_attr wanted) {
  if (syscall(SYS_mount_setattr, AT_FDCWD, target.c_str(), AT_RECURSIVE, &wanted, sizeof wanted) ==
      0)
    return true;
  if (errno != ENOSYS) return errno_error(errno, "set the attributes of " + target.string());
  return false;
}

}  // namespace

Status confine_mount(const std::filesystem::path& target, Writing writing) {
  mount_attr wanted{};
  wanted.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (writing == Writing::refused) wanted.attr_set |= MOUNT_ATTR_RDONLY;
  wanted.propagation = MS_PRIVATE;
  HF_ASSIGN(const bool set, set_attributes(target, wanted));
  if (set) return ok();
  HF_ASSIGN(const auto mounts, read_mounts());
  for (const auto& mount : mounts) {
    const auto below = mount.target.starts_with(target.string() + "/")
                           ? mount.target.substr(target.string().size())
                           : std::string{};
    if (!below.empty())
      return Error{Errc::runtime,
                   fmt::format("a file system is mounted at {} below it, which this kernel cannot "
                               "confine",
                               printable(below))}
          .hint("unmount it, mount it as a volume of its own, or use Linux 5.12 or newer");
  }
  // The runtime sets the flags of the first mount by itself.
  if (::mount(nullptr, target.c_str(), nullptr, MS_PRIVATE | MS_REC, nullptr) != 0)
    return errno_error(errno, "make private " + target.string());
  return ok();
}

Status make_harmless(const std::filesystem::path& target) {
  mount_attr wanted{};
  wanted.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  HF_ASSIGN(const bool set, set_attributes(target, wanted));
  if (set) return ok();
  constexpr unsigned long kFlags = MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV;
  if (::mount(nullptr, target.c_str(), nullptr, kFlags, nullptr) != 0)
    return errno_error(errno, "mount " + target.string() + " nosuid");
  return ok();
}

Status unmount_below(const std::filesystem::path& directory) {
  HF_ASSIGN(const auto mounts, read_mounts());
  const std::string prefix = directory.string() + "/";
  for (auto mount = mounts.rbegin(); mount != mounts.rend(); ++mount) {
    if (mount->target != directory && !mount->target.starts_with(prefix)) continue;
    if (::umount2(mount->target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL &&
        errno != ENOENT)
      return errno_error(errno, "unmount " + mount->target);
  }
  return ok();
}

}  // namespace holdfast::deploy::runtime
