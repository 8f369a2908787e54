#include "deploy/engine/state/parts.hpp"

#include <fmt/format.h>

namespace holdfast::deploy::engine {

void forget_failures(plan::Observed& observed) {
  observed.job_failures.clear();
  std::erase_if(observed.images, [](const auto& row) {
    return row.second.state != plan::ImageView::State::pulling;
  });
}

std::set<GenerationId> generations_in_use(const plan::Progress& progress) {
  std::set<GenerationId> ids{progress.current};
  if (progress.rollout) ids.insert(progress.rollout->from);
  if (progress.rehearsal) ids.insert(progress.rehearsal->target);
  for (const auto& each : progress.post_rollback_hooks) ids.insert(each.generation);
  ids.erase(GenerationId{});
  return ids;
}

Status reserve_ports(Parts& parts, const proto::Deployment* next) {
  const auto& progress = parts.journal.progress();
  std::set<plan::PortKey> ports;
  for (const auto id :
       {progress.current, progress.rollout ? progress.rollout->from : GenerationId{}}) {
    if (const auto known = parts.generations.document(id))
      ports.merge(plan::published_ports(*known));
  }
  if (next != nullptr) ports.merge(plan::published_ports(*next));
  return parts.ports.publisher.reserve(ports);
}

namespace {

void add_holders(image::Holders& holders, const proto::Deployment* document,
                 const std::string& why) {
  if (document == nullptr) return;
  std::set<proto::Digest> seen;
  for (const auto& [name, service] : proto::containers(*document)) {
    if (seen.insert(service->image.digest).second) holders[service->image.digest].push_back(why);
  }
}

/// What still runs or stands by, whatever generation it came from.
void add_running(image::Holders& holders, const plan::Observed& observed,
                 const plan::Progress& progress) {
  for (const auto& [id, view] : observed.instances) {
    const bool standby = progress.retired.contains(id);
    if (const auto serving = progress.serving.find(view.seen.service);
        serving != progress.serving.end() && serving->second == id)
      continue;  // of a generation that holds it
    holders[view.seen.image].push_back(
        fmt::format("{} {}", standby ? "standby" : "instance", id.str()));
  }
}

}  // namespace

std::set<GenerationId> retained(const Parts& parts, std::optional<GenerationId> target) {
  const auto& progress = parts.journal.progress();
  auto ids = generations_in_use(progress);
  ids.insert({parts.journal.effective(), progress.current, progress.good});
  if (target) ids.insert(*target);
  const auto used = ids;
  // Those that were rolled back from are counted apart: they are a way back only for who names
  // them, and must not push out the others.
  std::map<bool, std::uint32_t> kept;
  std::set<proto::Digest> contents;  // each counts once, however often it was good
  for (const auto& row : parts.generations.rows()) {
    if (!row.ever_good || !contents.insert(row.spec_digest).second) continue;
    auto& count = kept[parts.quarantine.contains(row.spec_digest)];
    if (!used.contains(row.id) && count >= parts.options.config.retain) continue;
    ++count;
    ids.insert(row.id);
  }
  return ids;
}

image::Holders holders(Parts& parts, std::optional<GenerationId> target,
                       const proto::Deployment* next) {
  image::Holders all;
  add_holders(all, next, "being applied");
  const auto effective = parts.journal.effective();
  const auto kept = retained(parts, target);
  for (const auto& row : parts.generations.rows()) {
    if (!kept.contains(row.id)) {
      parts.generations.forget_document(row.id);
      continue;
    }
    parts.generations.fetch_document(row.id);
    add_holders(all, parts.generations.document(row.id).get(),
                row.id == effective ? "current" : fmt::format("generation {}", row.id.value()));
  }
  add_running(all, parts.observed, parts.journal.progress());
  return all;
}

std::set<proto::Digest> configs_in_use(const Parts& parts, std::optional<GenerationId> target) {
  std::set<proto::Digest> digests;
  for (const auto id : retained(parts, target)) {
    const auto document = parts.generations.document(id);
    if (!document) continue;
    for (const auto& [name, service] : proto::containers(*document))
      for (const auto& config : service->configs) digests.insert(config.digest);
  }
  return digests;
}

double epoch_seconds(WallTime time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

}  // namespace holdfast::deploy::engine
