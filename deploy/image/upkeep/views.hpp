#pragma once
#include <string>

#include "deploy/image/port/image_maintenance.hpp"
#include "proto/api/messages.hpp"

namespace holdfast::deploy::image {

/// As the API shows them.
[[nodiscard]] proto::api::ImageItem item_of(const ImageInfo& info);
/// Its `dry_run` is false.
[[nodiscard]] proto::api::ImageGcReport report_of(const CollectionPlan& plan);
/// "2 images, 3 layers, 4 blobs, 5678 bytes", for the ledger; empty: nothing.
[[nodiscard]] std::string collected_text(const CollectionPlan& done);

}  // namespace holdfast::deploy::image
