#pragma once
/// \file
/// The directory of a named volume that a service mounts: all of it, or one below it.

#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"
#include "deploy/runtime/record/paths.hpp"
#include "deploy/runtime/spec/user.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::deploy::runtime {

struct VolumeDirectory {
  std::filesystem::path volume;  ///< that exists
  const proto::VolumeMount& wanted;
  const User& user;  ///< whose directories on the way are that are made
  int root;          ///< the image's merged tree, open; knows the names of owners
};

/// Opens it and gives it the owner and mode that the document names. Directories of `subpath` that
/// are missing are made; no symlink is followed, as a container may have put it there
/// (CVE-2021-25741). Safe to repeat. Errors: host, naming the part that is no directory; user; io.
[[nodiscard]] Result<os::UniqueFd> open_volume_directory(const VolumeDirectory& input);

}  // namespace holdfast::deploy::runtime
