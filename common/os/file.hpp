#pragma once
/// \file
/// Files and directories, durable where it matters. Every function blocks; all are thread safe.

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::os {

/// open(2) with O_CLOEXEC added. Errors: by errno.
[[nodiscard]] Result<UniqueFd> open_file(const std::filesystem::path& path, int flags,
                                         mode_t mode = 0600);

/// The whole file, refused beyond `limit` bytes (Errc::too_large). Symlinks are followed.
[[nodiscard]] Result<std::string> read_file(const std::filesystem::path& path,
                                            std::size_t limit = 16U << 20);
/// The same, of regular files alone, those of /proc and /sys among them: opening waits for nobody,
/// whatever lies there. Errors: those; io when it is something else.
[[nodiscard]] Result<std::string> read_regular_file(const std::filesystem::path& path,
                                                    std::size_t limit = 16U << 20);

/// Writes all of `data`, retrying short writes and EINTR.
[[nodiscard]] Status write_all(int fd, std::string_view data);

enum class Durability { durable, lazy };

/// Replaces `path` atomically: temporary file in the same directory, fsync, rename, fsync of the
/// directory. `lazy` leaves out both fsyncs (for files under /run).
[[nodiscard]] Status write_atomic(const std::filesystem::path& path, std::string_view data,
                                  mode_t mode = 0600, Durability durability = Durability::durable);

/// Puts `data`, at most 512 bytes, over an existing file of the same length, durably, with one
/// flush where write_atomic needs two and a rename. Disks write a sector whole or not at all, so
/// what is read after a power cut are the old bytes or the new. Errors: not_found when there is no
/// file of that length, io, perm.
[[nodiscard]] Status overwrite_sector(const std::filesystem::path& path, std::string_view data);

/// mkdir -p with `mode` for every directory it creates. An existing directory is success.
[[nodiscard]] Status make_directories(const std::filesystem::path& path, mode_t mode = 0700);

/// fsync of a directory, so that renames in it last.
[[nodiscard]] Status sync_directory(const std::filesystem::path& path);

/// rm -r; what is absent is success. Never crosses a mount point, never follows a symlink.
[[nodiscard]] Status remove_tree(const std::filesystem::path& path);

/// Exclusive flock held for the life of the object.
class FileLock {
 public:
  /// Errors: busy when another process holds it (`what` names its pid, read from the file).
  [[nodiscard]] static Result<FileLock> acquire(const std::filesystem::path& path);

 private:
  explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

/// A directory that vanishes with the object; for tests and staging.
class TempDir {
 public:
  [[nodiscard]] static Result<TempDir> create(const std::filesystem::path& parent,
                                              std::string_view prefix);
  TempDir(TempDir&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TempDir& operator=(TempDir&&) = delete;
  ~TempDir();
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  explicit TempDir(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

}  // namespace holdfast::os
