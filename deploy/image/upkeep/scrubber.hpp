#pragma once
#include <cstdint>
#include <functional>
#include <stop_token>

#include "common/base/result.hpp"
#include "deploy/image/port/image_maintenance.hpp"
#include "deploy/image/port/images.hpp"
#include "deploy/image/upkeep/repair.hpp"
#include "proto/config/agent_config.hpp"

namespace holdfast::deploy::image {

/// One round over the whole store: first `repair_known`, then `hash_due_layers`. Blocks; honours
/// `stop` within a second. Logs what it could not do, unless it was stopped.
class Scrubber {
 public:
  Scrubber(Images& images, ImageMaintenance& care, proto::ScrubConfig config, ProgressSink progress)
      : images_(images), care_(care), config_(config), progress_(std::move(progress)) {}

  enum class Repairs : std::uint8_t { allowed, forbidden };

  /// Fetches again what is known to be damaged, where that is allowed.
  [[nodiscard]] Repaired repair_known(Repairs repairs, const std::stop_token& stop);

  struct Hashed {
    std::uint64_t damaged_images = 0;  ///< found now
    bool completed = false;            ///< no layer is due any more
  };
  /// Called for each layer that was hashed.
  using Count = std::function<void(const Verification&)>;

  /// Hashes what was not hashed for the longest time, until no layer is due.
  [[nodiscard]] Hashed hash_due_layers(const Count& count, const std::stop_token& stop);

 private:
  Result<Repaired> try_repairs(const std::stop_token& stop);

  Images& images_;
  ImageMaintenance& care_;
  proto::ScrubConfig config_;
  ProgressSink progress_;
};

}  // namespace holdfast::deploy::image
