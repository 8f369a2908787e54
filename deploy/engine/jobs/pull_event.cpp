#include "deploy/engine/jobs/pull_event.hpp"

#include <fmt/format.h>

#include <array>

#include "proto/json/writer.hpp"

namespace holdfast::deploy::engine {

proto::api::Event pull_event(const image::PullProgress& p, WallTime now) {
  static constexpr std::array kPhases{"resolving", "downloading", "unpacking",
                                      "done",      "verifying",   "exporting"};
  const auto* phase = kPhases[static_cast<std::size_t>(p.phase)];
  proto::api::Event event;
  event.time = to_rfc3339(now);
  event.kind = "pull";
  event.message = fmt::format("{} {} {}", p.image, p.layer, phase);
  proto::json::Writer detail;
  detail.begin_object().key("image").value(p.image).key("layer").value(p.layer);
  detail.key("phase").value(phase).key("bytes").value(p.bytes).key("total").value(p.total);
  detail.key("rate").value(p.rate).key("seconds_left");
  if (p.rate > 0 && p.total >= p.bytes) {
    detail.value((p.total - p.bytes + p.rate - 1) / p.rate);
  } else {
    detail.null();
  }
  event.detail = std::move(detail.end_object()).take();
  return event;
}

}  // namespace holdfast::deploy::engine
