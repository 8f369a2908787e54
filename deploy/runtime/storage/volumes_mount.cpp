#include "deploy/runtime/storage/volumes_mount.hpp"

#include <dirent.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>

#include "common/log/log.hpp"
#include "deploy/runtime/storage/mounts.hpp"

namespace holdfast::deploy::runtime {
namespace {

Result<bool> is_mounted(const std::filesystem::path& place) {
  HF_ASSIGN(const auto mounts, read_mounts());
  return std::any_of(mounts.begin(), mounts.end(),
                     [&](const auto& mount) { return mount.target == place.string(); });
}

/// The directory's number as its parent lists it: of what lies below a mount. 0: not found.
ino_t listed_number(const std::filesystem::path& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> parent{::opendir(directory.parent_path().c_str()),
                                                   ::closedir};
  const auto name = directory.filename().string();
  while (const auto* entry = parent ? ::readdir(parent.get()) : nullptr)
    if (name == entry->d_name) return entry->d_ino;
  return 0;
}

/// What is mounted there is the directory that is there without it. Anything else, a disk for the
/// volumes, is the operator's.
bool is_the_directory_itself(const std::filesystem::path& place) {
  struct stat seen {};
  struct stat around {};
  return ::stat(place.c_str(), &seen) == 0 && ::stat(place.parent_path().c_str(), &around) == 0 &&
         seen.st_dev == around.st_dev && seen.st_ino == listed_number(place);
}

}  // namespace

Result<VolumesMount> VolumesMount::make(const std::filesystem::path& volumes) {
  const auto* path = volumes.c_str();
  HF_ASSIGN(const auto mounted, is_mounted(volumes));
  if (mounted && !is_the_directory_itself(volumes)) {
    log::info("event=volumes_on_their_own path={}", log::field(volumes.string()));
    HF_TRY(make_harmless(volumes));
    return VolumesMount{{}};
  }
  if (!mounted && ::mount(path, path, nullptr, MS_BIND | MS_REC, nullptr) != 0)
    return errno_error(errno, "mount " + volumes.string() + " onto itself");
  VolumesMount made{volumes};
  HF_TRY(make_harmless(volumes));
  return made;
}

VolumesMount::~VolumesMount() {
  // What somebody mounted over it meanwhile stays.
  if (!volumes_.empty() && is_the_directory_itself(volumes_))
    (void)::umount2(volumes_.c_str(), UMOUNT_NOFOLLOW);
}

void confine_later_mounts(const std::filesystem::path& volumes) {
  const auto mounted = is_mounted(volumes);
  if (!mounted || !*mounted) return;
  if (auto made = make_harmless(volumes); !made)
    log::warn("event=volumes_not_confined path={} error={}", log::field(volumes.string()),
              log::field(made.error().to_string()));
}

}  // namespace holdfast::deploy::runtime
