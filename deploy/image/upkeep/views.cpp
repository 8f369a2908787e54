#include "deploy/image/upkeep/views.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <string>

namespace holdfast::deploy::image {

proto::api::ImageItem item_of(const ImageInfo& info) {
  return {.reference = info.reference,
          .digest = info.pinned.str(),
          .manifest = info.manifest.str(),
          .bytes = info.bytes,
          .layers = info.layers,
          .pulled = to_rfc3339(info.pulled),
          .needed_by = info.holders,
          .leased_until = info.leased_until ? to_rfc3339(*info.leased_until) : std::string{},
          .leased_by = info.leased_by,
          .verified = info.verified ? to_rfc3339(*info.verified) : std::string{},
          .damage = info.damage};
}

proto::api::ImageGcReport report_of(const CollectionPlan& plan) {
  using Kind = proto::Word<proto::api::CollectedKind>;
  proto::api::ImageGcReport report{
      .dry_run = false, .removed = {}, .kept = {}, .bytes = plan.bytes};
  for (const auto& each : plan.remove)
    report.removed.push_back({Kind::read(each.kind), each.name, each.reference, each.bytes});
  for (const auto& each : plan.kept)
    report.kept.push_back({each.image.str(), each.reference, each.why});
  return report;
}

std::string collected_text(const CollectionPlan& done) {
  if (done.remove.empty()) return {};
  std::map<std::string, std::uint64_t> kinds;
  for (const auto& each : done.remove) ++kinds[each.kind];
  return fmt::format("{} images, {} layers, {} blobs, {} bytes", kinds["image"],
                     kinds["layer"] + kinds["replaced"], kinds["blob"], done.bytes);
}

}  // namespace holdfast::deploy::image
