#pragma once
#include "deploy/image/port/image_archives.hpp"
#include "deploy/image/store/records.hpp"
#include "deploy/image/store/store.hpp"

namespace holdfast::deploy::image {

/// See ImageArchives::export_archive.
[[nodiscard]] Result<std::uint64_t> export_image(Store& store, const ImageRecord& record,
                                                 const os::UniqueFd& file,
                                                 const ProgressSink& progress,
                                                 const std::stop_token& stop);

}  // namespace holdfast::deploy::image
