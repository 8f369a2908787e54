#pragma once
#include "deploy/image/port/image_archives.hpp"
#include "deploy/image/store/store.hpp"

namespace holdfast::deploy::image {

/// What an import is asked for.
struct ImportRequest {
  const os::UniqueFd& file;
  const std::string& reference;
  WallTime until;
  const std::string& by;
  const ProgressSink& progress;
  const std::stop_token& stop;
};

/// See ImageArchives::import_archive.
[[nodiscard]] Result<Imported> import_images(Store& store, const ImportRequest& request);

}  // namespace holdfast::deploy::image
