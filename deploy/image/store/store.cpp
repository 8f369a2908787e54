#include "deploy/image/store/store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "common/base/text.hpp"
#include "common/os/file.hpp"

namespace holdfast::deploy::image {

bool Store::has_layer(const std::string& key) const {
  struct stat info {};
  return stat(paths.meta(key).c_str(), &info) == 0 && stat(paths.tree(key).c_str(), &info) == 0 &&
         S_ISDIR(info.st_mode) && stat(paths.damaged(key).c_str(), &info) != 0;
}

std::string Store::damage_of(const std::string& key) const {
  constexpr std::size_t kMost = 4096;
  auto text = os::read_regular_file(paths.damaged(key), kMost);
  if (text) return std::string{trim(*text)};
  return text.error().code() == Errc::not_found ? std::string{} : text.error().what();
}

Result<LayerMeta> Store::layer_meta(const std::string& key) const {
  constexpr std::size_t kMaxMetaBytes = 64U << 20;
  HF_ASSIGN(const std::string text, os::read_regular_file(paths.meta(key), kMaxMetaBytes));
  return decode_layer_meta(text);
}

Status Store::publish_layer(const std::filesystem::path& staged, const std::string& key) const {
  if (::rename(staged.c_str(), paths.layer(key).c_str()) != 0) {
    if (errno != EEXIST && errno != ENOTEMPTY) return errno_error(errno, "publish layer " + key);
    if (!has_layer(key)) return exchange_layer(staged, key);
    return os::remove_tree(staged);
  }
  return ok();
}

Status Store::settle_layers() const { return os::sync_directory(paths.layers()); }

Status Store::exchange_layer(const std::filesystem::path& staged, const std::string& key) const {
  // Containers that run on the damaged tree have it open as a lower of their root: emptying it
  // would take files away under them. It goes when the last of them is gone (see Collector).
  const auto aside =
      paths.replaced() / fmt::format("{}.{}", key, clock.wall().time_since_epoch().count());
  HF_TRY(os::make_directories(paths.replaced()));
  if (::rename(staged.c_str(), aside.c_str()) != 0)
    return errno_error(errno, "put layer " + key + " into place");
  if (::renameat2(AT_FDCWD, aside.c_str(), AT_FDCWD, paths.layer(key).c_str(), RENAME_EXCHANGE) !=
      0)
    return errno_error(errno, "exchange layer " + key);
  HF_TRY(os::sync_directory(paths.replaced()));
  return os::sync_directory(paths.layers());
}

Result<std::uint64_t> Store::available_bytes() const {
  struct statvfs info {};
  if (statvfs(paths.state.c_str(), &info) != 0)
    return errno_error(errno, "free space of " + paths.state.string());
  const std::uint64_t reserve = os::reserve_of(info).bytes;
  const std::uint64_t free = info.f_bavail * info.f_frsize;
  return free > reserve ? free - reserve : 0;
}

Result<os::DiskReserve> Store::reserve() const {
  struct statvfs info {};
  if (statvfs(paths.state.c_str(), &info) != 0)
    return errno_error(errno, "size of " + paths.state.string());
  return os::reserve_of(info);
}

Result<std::optional<std::uint64_t>> Store::available_inodes() const {
  struct statvfs info {};
  if (statvfs(paths.state.c_str(), &info) != 0)
    return errno_error(errno, "free inodes of " + paths.state.string());
  if (info.f_files == 0) return std::optional<std::uint64_t>{};  // btrfs and the like
  const std::uint64_t reserve = os::reserve_of(info).inodes;
  return std::optional<std::uint64_t>{info.f_favail > reserve ? info.f_favail - reserve : 0};
}

}  // namespace holdfast::deploy::image
