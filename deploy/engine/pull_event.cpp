#include "deploy/engine/pull_event.hpp"

#include <fmt/format.h>

#include <array>

namespace holdfast::deploy::engine {

proto::api::Event pull_event(const image::PullProgress& p, WallTime now) {
  static constexpr std::array kPhases{"resolving", "downloading", "unpacking",
                                      "done",      "verifying",   "exporting"};
  const auto* phase = kPhases[static_cast<std::size_t>(p.phase)];
  proto::api::Event event;
  event.time = to_rfc3339(now);
  event.kind = "pull";
  event.message = fmt::format("{} {} {}", p.image, p.layer, phase);
  std::string image;
  for (const char c : p.image) {
    if (c != '"' && c != '\\') image += c;
  }
  const bool known = p.rate > 0 && p.total >= p.bytes;
  event.detail = fmt::format(
      R"({{"image":"{}","layer":"{}","phase":"{}","bytes":{},"total":{},"rate":{},"seconds_left":{}}})",
      image, p.layer, phase, p.bytes, p.total, p.rate,
      known ? std::to_string((p.total - p.bytes + p.rate - 1) / p.rate) : "null");
  return event;
}

}  // namespace holdfast::deploy::engine
