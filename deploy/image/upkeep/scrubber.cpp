#include "deploy/image/upkeep/scrubber.hpp"

#include "common/log/log.hpp"
#include "deploy/image/upkeep/selection.hpp"

namespace holdfast::deploy::image {
namespace {

void warn(const char* event, const Error& error) {
  if (error.code() != Errc::cancelled)
    log::warn("event={} error={}", event, log::field(error.to_string()));
}

}  // namespace

Repaired Scrubber::repair_known(Repairs repairs, const std::stop_token& stop) {
  if (repairs == Repairs::forbidden) return {.images = {}, .first_failure = ok()};
  auto tried = try_repairs(stop);
  auto repaired = tried ? std::move(tried).value()
                        : Repaired{.images = {}, .first_failure = std::move(tried).error()};
  if (!repaired.first_failure) warn("repair_pending", repaired.first_failure.error());
  return repaired;
}

Result<Repaired> Scrubber::try_repairs(const std::stop_token& stop) {
  HF_ASSIGN(const auto all, care_.inventory());
  return repair_images(images_, damaged_of(all, {}), progress_, stop);
}

Scrubber::Hashed Scrubber::hash_due_layers(const Count& count, const std::stop_token& stop) {
  const Budget budget{.bytes_per_second = config_.bandwidth.value()};
  Hashed hashed;
  while (config_.every > Milliseconds{0} && !stop.stop_requested()) {
    const auto one = care_.scrub_one(config_.every, budget, stop);
    if (!one) {
      warn("scrub_failed", one.error());
      break;
    }
    hashed.completed = !one->has_value();
    if (hashed.completed) break;
    count(**one);
    hashed.damaged_images += (*one)->damaged.size();
  }
  return hashed;
}

}  // namespace holdfast::deploy::image
