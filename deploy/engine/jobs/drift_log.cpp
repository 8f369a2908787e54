#include "deploy/engine/jobs/drift_log.hpp"

#include "common/log/log.hpp"

namespace holdfast::deploy::engine {

using proto::DriftAction;
using proto::DriftKind;

namespace {

/// Recorded in another way: restarts and routes have entries of their own.
bool is_recorded_elsewhere(DriftKind kind) {
  return kind == DriftKind::exited || kind == DriftKind::publish;
}

}  // namespace

void DriftLog::tell(proto::EntryKind kind, const plan::Drift& drift, std::string reason,
                    std::vector<proto::Entry>& entries) {
  const auto name = std::string{proto::to_string(drift.kind)};
  auto& counters = parts_.counters;
  ++(kind == proto::EntryKind::drift_detected ? counters.drift_detected
                                              : counters.drift_repaired)[name];
  if (is_recorded_elsewhere(drift.kind)) return;
  auto made = parts_.journal.entry(kind, "agent", std::move(reason), parts_.journal.effective());
  made.service = drift.service;
  made.detail = {{"kind", name}, {"policy", std::string{proto::to_string(drift.action)}}};
  entries.push_back(std::move(made));
}

void DriftLog::note(const plan::Settings& settings) {
  const auto& journal = parts_.journal;
  if (plan::has_begun(journal.progress())) return;
  if (journal.stale() && !journal.unjournaled()) return;  // what is declared is not known
  std::map<std::string, Item> now;
  std::vector<proto::Entry> entries;
  for (auto& drift : plan::classify(journal.progress(), parts_.observed, settings)) {
    const auto key = drift.key();
    const auto before = items_.find(key);
    // A difference of its own kind is one finding for as long as it lasts, also when its words
    // change.
    if (before == items_.end() && drift.kind != DriftKind::publish)
      tell(proto::EntryKind::drift_detected, drift, drift.evidence, entries);
    const auto since = before == items_.end() ? parts_.ports.clock.wall() : before->second.since;
    now.insert_or_assign(key, Item{since, std::move(drift)});
  }
  for (const auto& [key, item] : items_) {
    // What changes while a job of ours is at work changes for that.
    if (parts_.observed.is_changing(plan::ServiceName{item.drift.service}, journal.progress()))
      now.insert({key, item});
    if (!now.contains(key) && item.drift.kind != DriftKind::publish)
      tell(proto::EntryKind::drift_repaired, item.drift,
           item.drift.action == DriftAction::repair ? "put right: " + item.drift.evidence
                                                    : "is no more: " + item.drift.evidence,
           entries);
  }
  items_ = std::move(now);
  if (!entries.empty() && journal.writable())
    (void)parts_.journal.commit({.entries = std::move(entries)});
}

void DriftLog::watch_routes() {
  auto& observed = parts_.observed;
  observed.applied = applied_routes_;
  if (!applied_routes_) return;
  const bool whole = observed.routing && *observed.routing == *applied_routes_;
  if (whole == !routes_altered_) return;
  routes_altered_ = !whole;
  auto& counters = parts_.counters;
  ++(whole ? counters.drift_repaired : counters.drift_detected)["publish"];
  auto note = parts_.journal.entry(
      whole ? proto::EntryKind::drift_repaired : proto::EntryKind::drift_detected, "agent",
      whole              ? "the nftables table is whole again"
      : observed.routing ? "published ports or service addresses were altered"
                         : "the nftables table is missing or was altered",
      parts_.journal.effective());
  note.detail["kind"] = "publish";
  (void)parts_.journal.commit({.entries = {std::move(note)}});
}

bool DriftLog::apply_routes(const plan::RoutingTable& table) {
  if (restoring_) return false;
  const auto applied = parts_.ports.publisher.apply(table);
  if (!applied) {
    if (restore_again_ == BootTime::max()) restore(table, applied.error().to_string());
    return false;
  }
  applied_routes_ = table;
  if (!routes_altered_) return true;
  parts_.observed.routing = table;
  watch_routes();
  return true;
}

void DriftLog::restore(const plan::RoutingTable& table, std::string reason) {
  restoring_ = true;
  parts_.jobs.run(Jobs::Pool::network,
                  [this, &publisher = parts_.ports.publisher, table,
                   reason = std::move(reason)](const std::stop_token&) -> std::function<void()> {
                    auto done = publisher.restore(table);
                    return [this, table, reason, done] { restored(table, reason, done); };
                  });
}

/// The next observation tells whether it is whole: others may have been at it meanwhile.
void DriftLog::restored(const plan::RoutingTable& table, const std::string& reason,
                        const Status& done) {
  constexpr std::chrono::seconds kPause{1};
  restoring_ = false;
  if (done) {
    log::warn("event=network_rules_reloaded reason={}", log::field(reason));
    applied_routes_ = table;
    return parts_.attention.mark_changed();
  }
  restore_again_ = parts_.ports.clock.boot() + kPause;
  parts_.counters.count(done.error());
  log::warn("event=route_failed error={}", log::field(done.error().to_string()));
}

bool DriftLog::expire() {
  if (parts_.ports.clock.boot() < restore_again_) return false;
  restore_again_ = BootTime::max();
  return true;
}

}  // namespace holdfast::deploy::engine
