#pragma once
/// \file
/// Mounts made for instances, in the agent's mount namespace below run_dir/mnt.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"

namespace holdfast::deploy::runtime {

/// Makes `directory` a mount point of its own with private propagation, so that nothing mounted
/// below it is seen elsewhere. Safe to repeat. Errors: io, perm.
[[nodiscard]] Status make_private_mount(const std::filesystem::path& directory);

/// A root file system of stacked trees.
struct Overlay {
  std::vector<std::filesystem::path> lowers;  ///< lowest first; at least two without an upper
  std::filesystem::path upper;                ///< empty: read-only, nothing to write to
  std::filesystem::path work;                 ///< where `upper` is
};

/// Mounts `overlay` on `target` with redirect_dir=nofollow, metacopy=off, index=off, nodev, and
/// checks in mountinfo that the kernel took it so (packaging/doc/security.md ). Directories
/// are named through /proc/self/fd, so that 128 layers fit into the one page of options. Errors:
/// runtime, layer_corrupt (a lower is missing), io.
[[nodiscard]] Status mount_overlay(const Overlay& overlay, const std::filesystem::path& target);

/// A tmpfs for the agent's own use (secrets): never swapped out where the kernel can promise it.
[[nodiscard]] Status mount_secret_tmpfs(const std::filesystem::path& target);

enum class Writing : std::uint8_t { allowed, refused };
/// Makes the mount at `target` and every mount below it nosuid, nodev, private (what is mounted on
/// the host later does not arrive in it) and, with `refused`, read-only. A kernel before 5.12
/// cannot do that below the first (mount_setattr(2)): then a mount below it is refused by its path.
/// Errors: runtime, io.
[[nodiscard]] Status confine_mount(const std::filesystem::path& target, Writing writing);

/// Makes the mount at `target`, and before Linux 5.12 only that, and every mount below it nosuid
/// and nodev. Errors: io, perm.
[[nodiscard]] Status make_harmless(const std::filesystem::path& target);

/// Detaches everything mounted at or below `directory`. What is not mounted is success.
[[nodiscard]] Status unmount_below(const std::filesystem::path& directory);

struct MountInfo {
  std::string target;
  std::string type;
  std::string options;        ///< of the mount: "ro,nodev,relatime"
  std::string super_options;  ///< of the file system
};
/// /proc/self/mountinfo in its order. Octal escapes are undone.
[[nodiscard]] Result<std::vector<MountInfo>> read_mounts();
[[nodiscard]] std::vector<MountInfo> parse_mountinfo(std::string_view text);

}  // namespace holdfast::deploy::runtime
