#pragma once
/// \file
/// The root of an instance: the image's layers stacked, and mount points for everything that will
/// be mounted.

#include <filesystem>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"
#include "deploy/image/port/stored_image.hpp"
#include "deploy/runtime/record/paths.hpp"
#include "deploy/runtime/spec/bundle.hpp"

namespace holdfast::deploy::runtime {

enum class RootAccess : std::uint8_t { read_only, writable };

/// Mounts the root of `id` at run_dir/mnt/<id>/rootfs and returns it opened. Read-only: the image's
/// lowers and the instance's own top, no upper. Writable: with upper and work in
/// state_dir/instances/<id>, which are kept between mounts. Refuses an image whose /dev, /proc or
/// /sys is not a directory (T-11). Errors: runtime, layer_corrupt, io, nospace.
[[nodiscard]] Result<os::UniqueFd> mount_root(const Paths& paths, const plan::InstanceId& id,
                                              const image::StoredImage& image, RootAccess access);

/// What the document mounts meets the image as it is: no symlink leads it into /proc, /sys or /dev,
/// no file covers a directory and no directory a file. `mounts` in mount order. Errors: runtime,
/// with the next step.
[[nodiscard]] Status check_mount_points(int root, const std::vector<BundleMount>& mounts);

/// The same of a mounted root, and that /dev, /proc and /sys are directories, before its next
/// process: the last one may have written there. None may run. Errors: runtime, io.
[[nodiscard]] Status check_root_again(const Paths& paths, const plan::InstanceId& id,
                                      const std::vector<BundleMount>& mounts);

/// Where the read-only root lacks a mount point, makes it in the instance's top lower, with the
/// kernel copying the attributes of parents, and mounts the root again. Returns the root opened
/// (the old one when nothing was lacking).
[[nodiscard]] Result<os::UniqueFd> add_mount_points(const Paths& paths, const plan::InstanceId& id,
                                                    const image::StoredImage& image,
                                                    os::UniqueFd root,
                                                    const std::vector<BundleMount>& mounts);

}  // namespace holdfast::deploy::runtime
