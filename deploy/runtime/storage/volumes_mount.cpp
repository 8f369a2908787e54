#include "deploy/runtime/storage/volumes_mount.hpp"

#include <sys/mount.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "deploy/runtime/storage/mounts.hpp"

namespace holdfast::deploy::runtime {
namespace {

Result<bool> is_mounted(const std::filesystem::path& place) {
  HF_ASSIGN(const auto mounts, read_mounts());
  return std::any_of(mounts.begin(), mounts.end(),
                     [&](const auto& mount) { return mount.target == place.string(); });
}

}  // namespace

Result<VolumesMount> VolumesMount::make(const std::filesystem::path& volumes) {
  const auto* path = volumes.c_str();
  HF_ASSIGN(const auto mounted, is_mounted(volumes));
  if (!mounted && ::mount(path, path, nullptr, MS_BIND | MS_REC, nullptr) != 0)
    return errno_error(errno, "mount " + volumes.string() + " onto itself");
  VolumesMount made{volumes};
  constexpr unsigned long kFlags = MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV;
  HF_TRY(confine_mount(volumes, Writing::allowed));
  if (::mount(nullptr, path, nullptr, kFlags, nullptr) != 0)  // for kernels before 5.12
    return errno_error(errno, "mount " + volumes.string() + " nosuid");
  return made;
}

VolumesMount::~VolumesMount() {
  if (!volumes_.empty()) (void)::umount2(volumes_.c_str(), UMOUNT_NOFOLLOW);
}

}  // namespace holdfast::deploy::runtime
