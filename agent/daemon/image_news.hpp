#pragma once
#include <string>

#include "common/base/clock.hpp"
#include "deploy/engine/engine.hpp"
#include "deploy/image/upkeep/upkeep.hpp"

namespace holdfast::agent::daemon {

/// Carries what the upkeep of the image store tells to the engine and its events. Thread safe.
class ImageNews final : public deploy::image::Upkeep::Listener {
 public:
  ImageNews(deploy::engine::Engine& engine, const Clock& clock) : engine_(engine), clock_(clock) {}

  void progress(const deploy::image::PullProgress& progress) override;
  void images_changed(const std::string& collected, const deploy::requests::Actor& actor) override;
  void ended(const proto::api::ImageResult& result) override;
  [[nodiscard]] deploy::image::Scrubber::Repairs repairs() const override;

 private:
  deploy::engine::Engine& engine_;
  const Clock& clock_;
};

}  // namespace holdfast::agent::daemon
