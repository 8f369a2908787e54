#include "deploy/image/store.hpp"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "common/os/file.hpp"

namespace holdfast::deploy::image {

bool Store::has_layer(const std::string& key) const {
  struct stat info {};
  return stat(paths.meta(key).c_str(), &info) == 0 && stat(paths.tree(key).c_str(), &info) == 0 &&
         S_ISDIR(info.st_mode);
}

Result<LayerMeta> Store::layer_meta(const std::string& key) const {
  constexpr std::size_t kMaxMetaBytes = 64U << 20;
  HF_ASSIGN(const std::string text, os::read_file(paths.meta(key), kMaxMetaBytes));
  return decode_layer_meta(text);
}

Status Store::publish_layer(const std::filesystem::path& staged, const std::string& key) const {
  if (::rename(staged.c_str(), paths.layer(key).c_str()) != 0) {
    if (errno != EEXIST && errno != ENOTEMPTY) return errno_error(errno, "publish layer " + key);
    return os::remove_tree(staged);
  }
  return os::sync_directory(paths.layers());
}

Result<std::uint64_t> Store::available_bytes() const {
  struct statvfs info {};
  if (statvfs(paths.state.c_str(), &info) != 0)
    return errno_error(errno, "free space of " + paths.state.string());
  constexpr std::uint64_t kMaxReserve = 1ULL << 30;
  const std::uint64_t reserve =
      std::min<std::uint64_t>(info.f_blocks * info.f_frsize / 20, kMaxReserve);
  const std::uint64_t free = info.f_bavail * info.f_frsize;
  return free > reserve ? free - reserve : 0;
}

}  // namespace holdfast::deploy::image
