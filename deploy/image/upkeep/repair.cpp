#include "deploy/image/upkeep/repair.hpp"

#include "common/log/log.hpp"
#include "proto/image_ref.hpp"

namespace holdfast::deploy::image {
namespace {

Result<Pulled> fetch_again(Images& images, const ImageInfo& info, const ProgressSink& progress,
                           const std::stop_token& stop) {
  const auto ref = proto::ImageRef::parse(info.reference);
  if (ref) return images.ensure({*ref, {}}, progress, stop);
  return Error{Errc::not_found, "it is not known from where it came"}.hint(
      "import it again, or pull it by its reference");
}

}  // namespace

Repaired repair_images(Images& images, const std::vector<ImageInfo>& damaged,
                       const ProgressSink& progress, const std::stop_token& stop) {
  Repaired outcome{.images = {}, .first_failure = ok()};
  for (const auto& info : damaged) {
    auto done = fetch_again(images, info, progress, stop);
    if (done) {
      log::info("event=image_repaired image={} bytes={}", log::field(info.reference),
                done->stats.bytes_fetched);
      outcome.images.push_back(info.pinned);
    } else if (outcome.first_failure) {
      outcome.first_failure = std::move(done).error().in("repair " + info.pinned.str());
    }
    if (stop.stop_requested()) {
      outcome.first_failure = Error{Errc::cancelled, "repair images"};
      break;
    }
  }
  return outcome;
}

}  // namespace holdfast::deploy::image
