#include "agent/worker/unpack/attributes.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "common/base/text.hpp"

namespace holdfast::agent::worker::unpack {
namespace {

constexpr std::string_view kOverlay = "trusted.overlay.";

Status xattr_outcome(int result, const Xattr& xattr, std::uint64_t& unsupported) {
  if (result == 0) return ok();
  if (errno == ENOTSUP || errno == EPERM) {
    ++unsupported;
    return ok();
  }
  return errno_error(errno, fmt::format("set extended attribute {}", printable(xattr.name)));
}

std::array<timespec, 2> times(const timespec& mtime) { return {mtime, mtime}; }

}  // namespace

XattrPolicy XattrPolicy::of_this_kernel() {
  utsname name{};
  int major = 0;
  int minor = 0;
  const bool known = uname(&name) == 0 && std::sscanf(name.release, "%d.%d", &major, &minor) == 2;
  return XattrPolicy{known && (major > 6 || (major == 6 && minor >= 7))};
}

std::vector<Xattr> XattrPolicy::filter(std::vector<Xattr> xattrs) const {
  std::vector<Xattr> kept;
  for (auto& xattr : xattrs) {
    if (xattr.name == "security.selinux" || xattr.name == "system.nfs4_acl") continue;
    if (xattr.name.starts_with(kOverlay)) {
      if (!kernel_escapes_) continue;
      xattr.name.insert(kOverlay.size(), "overlay.");
      if (xattr.name.size() > 255) continue;
    }
    kept.push_back(std::move(xattr));
  }
  return kept;
}

Status set_attributes(int fd, const Attributes& attributes, std::uint64_t& unsupported_xattrs) {
  if (fchown(fd, attributes.uid, attributes.gid) != 0) return errno_error(errno, "chown");
  for (const auto& xattr : attributes.xattrs) {
    const int result = fsetxattr(fd, xattr.name.c_str(), xattr.value.data(), xattr.value.size(), 0);
    HF_TRY(xattr_outcome(result, xattr, unsupported_xattrs));
  }
  if (fchmod(fd, attributes.mode) != 0) return errno_error(errno, "chmod");
  if (futimens(fd, times(attributes.mtime).data()) != 0) return errno_error(errno, "set times");
  return ok();
}

Status set_attributes_at(int parent, const std::string& name, const Attributes& attributes,
                         EntryType type, std::uint64_t& unsupported_xattrs) {
  if (fchownat(parent, name.c_str(), attributes.uid, attributes.gid, AT_SYMLINK_NOFOLLOW) != 0)
    return errno_error(errno, "chown");
  if (!attributes.xattrs.empty() && fchdir(parent) != 0)
    return errno_error(errno, "change directory");
  for (const auto& xattr : attributes.xattrs) {
    const int result =
        lsetxattr(name.c_str(), xattr.name.c_str(), xattr.value.data(), xattr.value.size(), 0);
    HF_TRY(xattr_outcome(result, xattr, unsupported_xattrs));
  }
  // The name was made a moment ago by this process as a device or fifo, in a directory nobody else
  // can reach.
  if (type != EntryType::symlink && fchmodat(parent, name.c_str(), attributes.mode, 0) != 0)
    return errno_error(errno, "chmod");
  if (utimensat(parent, name.c_str(), times(attributes.mtime).data(), AT_SYMLINK_NOFOLLOW) != 0)
    return errno_error(errno, "set times");
  return ok();
}

Result<Attributes> get_attributes(int fd) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return errno_error(errno, "stat");
  Attributes out;
  out.mode = info.st_mode & 07777U;
  out.uid = info.st_uid;
  out.gid = info.st_gid;
  out.mtime = info.st_mtim;
  std::array<char, 16384> names{};
  const ssize_t size = flistxattr(fd, names.data(), names.size());
  if (size < 0 && errno != ENOTSUP) return errno_error(errno, "list extended attributes");
  std::string_view rest{names.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
  while (!rest.empty()) {
    const std::string name{rest.substr(0, rest.find('\0'))};
    rest.remove_prefix(name.size() + 1);
    const bool ours = name.starts_with(kOverlay) && !name.starts_with("trusted.overlay.overlay.");
    if (ours || name == "security.selinux") continue;
    std::string value(64U << 10, '\0');
    const ssize_t got = fgetxattr(fd, name.c_str(), value.data(), value.size());
    if (got < 0) return errno_error(errno, "read extended attribute " + printable(name));
    value.resize(static_cast<std::size_t>(got));
    out.xattrs.push_back({name, std::move(value)});
  }
  return out;
}

}  // namespace holdfast::agent::worker::unpack
