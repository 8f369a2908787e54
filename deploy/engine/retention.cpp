#include "deploy/engine/retention.hpp"

#include <fmt/format.h>

#include "common/log/log.hpp"

namespace holdfast::deploy::engine {

void Retention::retain_images() {
  const auto target = rollbacks_.target(0);
  const auto held = holders(parts_, target ? std::optional{*target} : std::nullopt, nullptr);
  if (!parts_.generations.reading()) return parts_.ports.images.retain(held);
  parts_.generations.when_all_read([this] { retain_images(); });  // until then what was told before
}

void Retention::collect() {
  retain_images();
  parts_.generations.when_all_read([this] { collect_now(); });
}

void Retention::collect_now() {
  const auto target = rollbacks_.target(0);
  auto configs = configs_in_use(parts_, target ? std::optional{*target} : std::nullopt);
  parts_.jobs.run(
      Jobs::Pool::pull,
      [this, configs = std::move(configs)](const std::stop_token& stop) -> std::function<void()> {
        if (parts_.options.forget_configs) parts_.options.forget_configs(configs);
        // What was just retained is all.
        auto done = parts_.ports.images.collect({}, stop);
        return [this, done] { collected(done); };
      });
}

void Retention::collected(const Result<image::Collected>& done) {
  if (!done) {
    log::warn("event=collect_failed error={}", log::field(done.error().to_string()));
    return;
  }
  if (done->layers + done->blobs == 0) return;
  const auto what =
      fmt::format("{} layers, {} blobs, {} bytes", done->layers, done->blobs, done->bytes);
  (void)parts_.journal.commit(
      {.entries = {parts_.journal.entry(proto::EntryKind::collected, "agent", what, {})}});
}

void Retention::images_changed(const std::string& collected, const Actor& actor) {
  std::erase_if(parts_.observed.images, [](const auto& row) {
    return row.second.state == plan::ImageView::State::present ||
           row.second.state == plan::ImageView::State::missing;
  });
  retain_images();
  parts_.attention.mark_changed();
  if (!collected.empty())
    (void)parts_.journal.commit(
        {.entries = {parts_.journal.entry(proto::EntryKind::collected, actor, collected, {})}});
}

void Retention::forget_old_generations() {
  const auto& progress = parts_.journal.progress();
  auto in_use = generations_in_use(progress);
  in_use.insert(progress.good);
  // Those that were rolled back from are counted apart, as in `holders`.
  std::map<bool, std::size_t> kept;
  for (const auto& way : plan::ways_back(rollbacks_.facts())) {
    if (kept[parts_.quarantine.contains(way.spec_digest)]++ <= parts_.options.config.retain)
      in_use.insert(way.id);
  }
  parts_.generations.forget_old(
      in_use, [&](const proto::Digest& digest) { return parts_.quarantine.contains(digest); },
      parts_.options.config.retain);
}

}  // namespace holdfast::deploy::engine
