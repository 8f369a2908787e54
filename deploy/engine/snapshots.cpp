#include "deploy/engine/snapshots.hpp"

#include <fmt/format.h>

#include <set>

#include "common/base/text.hpp"
#include "common/log/log.hpp"

namespace holdfast::deploy::engine {

Snapshots::Snapshots(Parts& parts, Sources sources)
    : parts_(parts),
      sources_(sources),
      since_(parts.ports.clock.wall()),
      since_boot_(parts.ports.clock.boot()),
      counted_from_(since_boot_) {}

void Snapshots::count_from_boot() { counted_from_ = parts_.options.host_started; }

StatusInput Snapshots::input() {
  records_ = cache_.of(parts_);
  return {.progress = parts_.journal.progress(),
          .observed = parts_.observed,
          .counters = parts_.counters,
          .drift = sources_.drift.items(),
          .records = *records_,
          .rollback = sources_.rollbacks.readiness(),
          .refusal = parts_.journal.refusal(),
          .boot = parts_.ports.clock.boot(),
          .wall = parts_.ports.clock.wall(),
          .since = since_,
          .since_boot = since_boot_,
          .disk_low = disk_low()};
}

std::string Snapshots::disk_low() const {
  const auto& config = parts_.options.config;
  const auto& disk = parts_.disk;
  if (!disk || !config.disk.is_low(disk->free_bytes, disk->size_bytes)) return {};
  return fmt::format("disk low: {} of {} free at {}; next: holdfast image gc",
                     human_bytes(disk->free_bytes), human_bytes(disk->size_bytes),
                     config.state_dir.string());
}

std::vector<proto::api::ServiceStatus> Snapshots::services() { return services_status(input()); }

/// Series exist for what is declared, and for what a rollout under way may go back to: so a service
/// that a failed rollout did not touch keeps its counters.
void Snapshots::keep_workload_counters() {
  std::set<std::string> declared;
  for (const auto& [id, document] : parts_.observed.documents) {
    for (const auto& [name, service] : document->services) declared.insert(name.str());
  }
  if (declared.empty()) return;
  auto& workloads = parts_.counters.workloads;
  std::erase_if(workloads, [&](const auto& row) { return !declared.contains(row.first); });
  for (const auto& name : declared) workloads.try_emplace(name);
  // Those that left stay as long as they are not many.
  constexpr std::size_t kMostKilled = 256;
  auto& kills = parts_.counters.stop_kills;
  const bool many = kills.size() > kMostKilled;
  std::erase_if(kills, [&](const auto& row) {
    return !declared.contains(row.first) && (many || row.second == 0);
  });
  for (const auto& name : declared) kills.try_emplace(name);
}

/// The first time that all which is declared runs and is healthy.
void Snapshots::note_health(const proto::api::Status& status) {
  if (boot_to_healthy_seconds_ > 0 || !all_healthy(status)) return;
  boot_to_healthy_seconds_ =
      std::chrono::duration<double>(parts_.ports.clock.boot() - counted_from_).count();
  log::info("event=all_healthy seconds={:.3f}", boot_to_healthy_seconds_);
}

bool Snapshots::repairs_layers() {
  const auto current = parts_.generations.document(parts_.journal.effective());
  return proto::drift_action(proto::DriftKind::layer_damaged, parts_.options.config.drift,
                             current ? current->drift : proto::DriftPolicy{}) ==
         proto::DriftAction::repair;
}

void Snapshots::make(bool ready) {
  keep_workload_counters();
  const auto in = input();
  auto next = std::make_shared<Snapshot>();
  next->status = make_status(in);
  next->records = records_;
  note_health(next->status);
  next->counters = parts_.counters;
  next->gauges = make_gauges(in);
  next->gauges.rollback_ready_generations = sources_.rollbacks.ready_generations();
  next->gauges.boot_to_healthy_seconds = boot_to_healthy_seconds_;
  next->gauges.last_change_timestamp = parts_.milestones.last_change;
  next->gauges.source_last_success_timestamp = parts_.milestones.source_last_success;
  next->gauges.backup_timestamp = sources_.backups.timestamp();
  next->gauges.backup_head = sources_.backups.head();
  next->head = parts_.journal.head();
  next->ready = ready;
  next->ledger_writable = parts_.journal.writable();
  next->repair_layers = repairs_layers();
  latest_.store(std::move(next));
}

}  // namespace holdfast::deploy::engine
