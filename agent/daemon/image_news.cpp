#include "agent/daemon/image_news.hpp"

#include <fmt/format.h>

#include "deploy/engine/jobs/pull_event.hpp"
#include "proto/api/codec.hpp"

namespace holdfast::agent::daemon {

void ImageNews::progress(const deploy::image::PullProgress& progress) {
  engine_.events().publish(deploy::engine::pull_event(progress, clock_.wall()));
}

void ImageNews::images_changed(const std::string& collected, const deploy::requests::Actor& actor) {
  engine_.images_changed(collected, actor);
}

void ImageNews::ended(const proto::api::ImageResult& result) {
  proto::api::Event event;
  event.time = to_rfc3339(clock_.wall());
  event.kind = "image";
  event.message =
      fmt::format("{} {}", result.operation.text(), result.error ? result.error->message : "done");
  event.detail = proto::api::encode(result);
  engine_.events().publish(std::move(event));
}

deploy::image::Scrubber::Repairs ImageNews::repairs() const {
  using deploy::image::Scrubber;
  return engine_.snapshot()->repair_layers ? Scrubber::Repairs::allowed
                                           : Scrubber::Repairs::forbidden;
}

}  // namespace holdfast::agent::daemon
