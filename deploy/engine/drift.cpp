// What the engine does about differences besides the plan's steps: it counts them, says since when,
// and writes them into the ledger.
#include <fmt/format.h>

#include <utility>

#include "common/log/log.hpp"
#include "deploy/engine/core.hpp"

namespace holdfast::deploy::engine {

using proto::DriftAction;
using proto::DriftKind;

namespace {

/// Recorded in another way: restarts and routes have entries of their own.
bool is_recorded_elsewhere(DriftKind kind) {
  return kind == DriftKind::exited || kind == DriftKind::publish;
}

}  // namespace

/// Compares what differs now with what differed at the last look, before anything is done about it.
/// What changes while a roll-out or a job of ours is at work changes for that: judged afterwards.
void Core::note_drift() {
  if (plan::has_begun(progress_)) return;
  if (ports_.ledger.stale() && !unrecorded_) return;  // what is declared is not known
  std::map<std::string, std::pair<WallTime, plan::Drift>> now;
  std::vector<proto::Entry> entries;
  const auto tell = [&](proto::EntryKind kind, const plan::Drift& drift, std::string reason) {
    const auto name = std::string{proto::to_string(drift.kind)};
    ++(kind == proto::EntryKind::drift_detected ? figures_.drift_detected
                                                : figures_.drift_repaired)[name];
    if (is_recorded_elsewhere(drift.kind)) return;
    auto made = entry(kind, "agent", std::move(reason), plan::in_force(progress_));
    made.service = drift.service;
    made.detail = {{"kind", name}, {"policy", std::string{proto::to_string(drift.action)}}};
    entries.push_back(std::move(made));
  };
  for (auto& drift : plan::classify(progress_, observed_, settings())) {
    const auto before = drift_.find(drift.key());
    // A difference of its own kind is one finding for as long as it lasts, also when its words
    // change.
    if (before == drift_.end() && drift.kind != DriftKind::publish)
      tell(proto::EntryKind::drift_detected, drift, drift.evidence);
    const auto since = before == drift_.end() ? ports_.clock.wall() : before->second.first;
    now.insert_or_assign(drift.key(), std::pair{since, std::move(drift)});
  }
  for (const auto& [key, row] : drift_) {
    const auto& [since, drift] = row;
    if (observed_.is_changing(plan::ServiceName{drift.service}, progress_)) now.insert({key, row});
    if (!now.contains(key) && drift.kind != DriftKind::publish)
      tell(proto::EntryKind::drift_repaired, drift,
           drift.action == DriftAction::repair ? "put right: " + drift.evidence
                                               : "is no more: " + drift.evidence);
  }
  drift_ = std::move(now);
  for (auto& [kind, value] : figures_.drift_now) value = 0;
  for (const auto& [key, row] : drift_)
    ++figures_.drift_now[std::string{proto::to_string(row.second.kind)}];
  if (!entries.empty() && ledger_ok_) (void)commit({.entries = std::move(entries)});
}

void Core::fill_drift(proto::api::Status& status) const {
  for (const auto& [key, row] : drift_) {
    const auto& [since, drift] = row;
    status.drift.push_back({drift.service, std::string{proto::to_string(drift.kind)},
                            to_rfc3339(since), drift.evidence,
                            std::string{proto::to_string(drift.action)}, drift.next});
  }
}

/// The table is put right in the turn that finds it altered, before any picture of it is made: so
/// it is counted and recorded here.
void Core::watch_routes() {
  observed_.applied = applied_routes_;
  if (!applied_routes_) return;
  const bool whole = observed_.routing && *observed_.routing == *applied_routes_;
  if (whole == !routes_altered_) return;
  routes_altered_ = !whole;
  ++(whole ? figures_.drift_repaired : figures_.drift_detected)["publish"];
  auto note =
      entry(whole ? proto::EntryKind::drift_repaired : proto::EntryKind::drift_detected, "agent",
            whole               ? "the nftables table is whole again"
            : observed_.routing ? "published ports or service addresses were altered"
                                : "the nftables table is missing or was altered",
            plan::in_force(progress_));
  note.detail["kind"] = "publish";
  (void)commit({.entries = {std::move(note)}});
}

Status Core::apply_routes(const plan::RoutingTable& table) {
  HF_TRY(ports_.publisher.apply(table));
  applied_routes_ = table;
  if (!routes_altered_) return ok();
  observed_.routing = table;
  watch_routes();
  return ok();
}

}  // namespace holdfast::deploy::engine
