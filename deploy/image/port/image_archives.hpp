#pragma once
/// \file
/// The port through which images leave and enter as files: OCI layouts in a tar (image-spec
/// image-layout.md), which skopeo and buildah call oci-archive and docker save writes since 25.

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"
#include "deploy/image/port/images.hpp"
#include "proto/digest.hpp"

namespace holdfast::deploy::image {

struct Imported {
  std::vector<proto::Digest> images;  ///< that are whole now
  std::vector<std::string> skipped;   ///< what else the archive lists, and why it was left
};

/// Thread safe; blocks, honours `stop` within a second.
class ImageArchives {
 public:
  virtual ~ImageArchives() = default;

  /// Takes every image of the archive that is for this host, by the same way as a pull: digests,
  /// confined children, one step. `file` is a regular file. `reference` (may be empty) names the
  /// image when there is one and the archive does not say. Each gets a lease. Errors: those of
  /// Images::ensure; usage (no OCI layout), layer_unsafe, platform (nothing for this host).
  virtual Result<Imported> import_archive(const os::UniqueFd& file, const std::string& reference,
                                          WallTime until, const std::string& by,
                                          const ProgressSink& progress,
                                          const std::stop_token& stop) = 0;

  /// Writes the image to `file`. Layers come from kept blobs, else from the registry again, each
  /// checked against its digest. Returns the bytes written. Errors: not_found (no such image, or
  /// layers that are to be had nowhere), those of the registry, nospace, by errno.
  virtual Result<std::uint64_t> export_archive(const proto::Digest& pinned,
                                               const os::UniqueFd& file,
                                               const ProgressSink& progress,
                                               const std::stop_token& stop) = 0;
};

}  // namespace holdfast::deploy::image
