#include "deploy/runtime/storage/tmpfs_modes.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "deploy/runtime/spec/root_path.hpp"

namespace holdfast::deploy::runtime {

TmpfsModes tmpfs_modes(const proto::Service& service) {
  TmpfsModes modes;
  for (const auto& mount : service.tmpfs)
    if (mount.mode) modes.emplace(clean_path(mount.target), *mount.mode);
  return modes;
}

Status set_tmpfs_modes(pid_t pid, const TmpfsModes& modes) {
  if (modes.empty()) return ok();
  HF_ASSIGN(const auto root,
            os::open_file(fmt::format("/proc/{}/root", pid), O_PATH | O_DIRECTORY));
  for (const auto& [path, mode] : modes) {
    HF_ASSIGN(const auto there, open_in_root(root.get(), path, O_RDONLY | O_DIRECTORY));
    struct statfs info {};
    if (::fstatfs(there.get(), &info) != 0) return errno_error(errno, "statfs " + printable(path));
    if (info.f_type != TMPFS_MAGIC)
      return Error{Errc::runtime,
                   fmt::format("{} is no tmpfs after mounting one", printable(path))};
    if (::fchmod(there.get(), mode) != 0) return errno_error(errno, "chmod " + printable(path));
  }
  return ok();
}

}  // namespace holdfast::deploy::runtime
