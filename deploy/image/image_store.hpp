#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "common/base/clock.hpp"
#include "deploy/fetch/endpoints.hpp"
#include "deploy/image/port/image_archives.hpp"
#include "deploy/image/port/image_maintenance.hpp"
#include "deploy/image/port/images.hpp"
#include "proto/config/agent_config.hpp"

namespace holdfast::deploy::image {

/// The images below a state directory; layout in paths.hpp. Nothing unverified is ever visible in
/// it: work goes on in ingest/, and a rename makes it visible once it is whole, right and durable.
class ImageStore : public Images, public ImageMaintenance, public ImageArchives {
 public:
  struct Options {
    std::filesystem::path state_dir;
    std::filesystem::path worker_path;  ///< holdfast-worker
    std::map<std::string, proto::RegistryConfig> registries;
    std::uint32_t parallel_downloads = 3;
    const Clock& clock;
    std::uint64_t bytes_per_second = 0;  ///< of all downloads together; 0: no limit
    bool keep_blobs = false;             ///< compressed layers too, for export without a registry
    fetch::HostFiles host_files = {};
    proto::ProxyConfig proxy = {};
  };

  /// Images will soon be asked for: has the network child started ahead (deploy/fetch/spare.hpp).
  /// Returns at once.
  virtual void expect_pull() = 0;

  /// Makes the directories and sweeps what an interrupted pull left behind. Errors: by errno.
  [[nodiscard]] static Result<std::unique_ptr<ImageStore>> open(Options options);
};

}  // namespace holdfast::deploy::image
