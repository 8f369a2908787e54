// Images beyond what the roll-out under way asks for: when one is fetched, and which must stay, and
// why (invariant I-8 of packaging/doc/design.md 5). The store is told before any decision counts on
// an image that is there.
#include <fmt/format.h>

#include "deploy/engine/core.hpp"

namespace holdfast::deploy::engine {

/// `next`: a document about to be accepted.
void Core::retain_images(const proto::Deployment* next) {
  image::Holders holders;
  const auto add = [&](const proto::Deployment* document, const std::string& why) {
    if (document == nullptr) return;
    std::set<proto::Digest> seen;
    for (const auto& [name, service] : proto::containers(*document)) {
      if (seen.insert(service->image.digest).second) holders[service->image.digest].push_back(why);
    }
  };
  add(next, "being applied");
  // Those that were rolled back from are counted apart: they are a way back only for who names
  // them, and must not push out the others.
  std::map<bool, std::uint32_t> kept;
  auto used = generations_in_use();
  if (const auto target = rollback_target(0)) used.insert(*target);
  for (const auto& row : generations_) {
    const bool current = row.id == plan::in_force(progress_);
    const bool in_use =
        current || row.id == progress_.current || row.id == progress_.good || used.contains(row.id);
    auto& count = kept[quarantine_.contains(row.spec_digest)];
    if (!in_use && (!row.ever_good || count >= options_.config.retain)) {
      documents_.erase(row.id);
      continue;
    }
    if (row.ever_good) ++count;
    add(document(row.id).get(), current ? "current" : fmt::format("generation {}", row.id.value()));
  }
  // What still runs or stands by, whatever generation it came from.
  for (const auto& [id, view] : observed_.instances) {
    const bool standby = progress_.retired.contains(id);
    if (const auto serving = progress_.serving.find(view.seen.service);
        serving != progress_.serving.end() && serving->second == id)
      continue;  // of a generation above
    holders[view.seen.image].push_back(
        fmt::format("{} {}", standby ? "standby" : "instance", id.str()));
  }
  ports_.images.retain(std::move(holders));
}

/// Hosts with one source do not ask its registry all at once: each waits a time of its own, by the
/// digest and by how long it runs.
BootTime Core::pull_not_before(const proto::Digest& digest) const {
  const auto limit = static_cast<std::uint64_t>(options_.config.pull_jitter.count());
  if (limit == 0 || !progress_.rollout || progress_.rollout->trigger != plan::Trigger::source)
    return {};
  const auto lot = std::hash<std::string>{}(
      digest.hex() + std::to_string(ports_.clock.boot().time_since_epoch().count()));
  return ports_.clock.boot() + Milliseconds{lot % limit};
}

void Core::images_changed(const std::string& collected, const Actor& actor) {
  std::erase_if(observed_.images, [](const auto& row) {
    return row.second.state == plan::ImageView::State::present ||
           row.second.state == plan::ImageView::State::missing;
  });
  refresh_rollback();
  retain_images();
  changed_ = true;
  if (!collected.empty())
    (void)commit({.entries = {entry(proto::EntryKind::collected, actor, collected, {})}});
}

}  // namespace holdfast::deploy::engine
