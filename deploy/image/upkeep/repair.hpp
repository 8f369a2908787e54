#pragma once
#include <stop_token>
#include <vector>

#include "common/base/result.hpp"
#include "deploy/image/port/image_maintenance.hpp"
#include "deploy/image/port/images.hpp"
#include "proto/digest.hpp"

namespace holdfast::deploy::image {

struct Repaired {
  std::vector<proto::Digest> images;
  Status first_failure;  ///< the others were tried nevertheless
};

/// Fetches damaged images again by the references by which they came. Blocks; honours `stop` within
/// a second (then the failure is `cancelled`).
[[nodiscard]] Repaired repair_images(Images& images, const std::vector<ImageInfo>& damaged,
                                     const ProgressSink& progress, const std::stop_token& stop);

}  // namespace holdfast::deploy::image
