#include "deploy/engine/jobs/drains.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "common/log/log.hpp"

namespace holdfast::deploy::engine {
namespace {

bool mentions(const plan::RoutingTable& table, plan::Address address) {
  return std::any_of(table.ports.begin(), table.ports.end(),
                     [&](const auto& row) { return row.second.address == address; }) ||
         std::any_of(table.services.begin(), table.services.end(),
                     [&](const auto& row) { return row.second == address; });
}

}  // namespace

void Drains::observe() {
  // A rollback took it up again: it is asked whether it is well before traffic goes there.
  for (auto& [id, freezing] : freezing_)
    if (!is_standby(id)) spare(id, freezing);
  const auto& retired = parts_.journal.progress().retired;
  std::erase_if(open_, [&](const auto& row) {
    const auto found = retired.find(row.first);
    return found == retired.end() || found->second.standby;
  });
  parts_.observed.connections = open_;
  count();
}

void Drains::count() {
  // As often as the planner wakes for it, and not whenever something else happens.
  constexpr Milliseconds kPace{200};
  const auto now = parts_.ports.clock.boot();
  if (counting_ || now < next_count_) return;
  std::map<plan::InstanceId, plan::Address> draining;
  std::set<plan::Address> addresses;
  for (const auto& [id, retired] : parts_.journal.progress().retired) {
    const auto found = parts_.observed.instances.find(id);
    if (retired.standby || now - retired.since < plan::kFirstCount ||
        found == parts_.observed.instances.end() || found->second.seen.address == 0)
      continue;
    draining.emplace(id, found->second.seen.address);
    addresses.insert(found->second.seen.address);
  }
  if (draining.empty()) return;
  counting_ = true;
  next_count_ = now + kPace;
  parts_.jobs.run(Jobs::Pool::drain, [this, draining, addresses](const std::stop_token&) {
    auto connections = parts_.ports.publisher.connections(addresses);
    return [this, draining, connections] { counted(draining, connections); };
  });
}

void Drains::counted(const std::map<plan::InstanceId, plan::Address>& draining,
                     const Counted& connections) {
  counting_ = false;
  if (!connections) return parts_.counters.count(connections.error());
  for (const auto& [id, address] : draining) {
    const auto open = connections->at(address);
    const auto before = open_.find(id);
    // Quiet: the drain ends now, not when its time has run out.
    if (open == 0 && (before == open_.end() || before->second != 0))
      parts_.attention.mark_changed();
    open_.insert_or_assign(id, open);
  }
}

void Drains::start_freeze(const plan::Freeze& freeze) {
  const auto [running, added] = freezing_.try_emplace(freeze.id, Freezing{freeze.address});
  if (!added) return;
  parts_.jobs.run(Jobs::Pool::drain, [this, freeze, spare = running->second.spare.get_token()](
                                         const std::stop_token&) {
    auto done = cut(freeze, spare);
    return [this, freeze, spare, done] { freeze_cut(freeze, spare, done); };
  });
}

/// On a job thread. Peers hear of it while their packets still find the way; then the way is
/// forgotten.
Drains::Cut Drains::cut(const plan::Freeze& freeze, const std::stop_token& spare) {
  if (freeze.address == 0) return {0U, 0U};
  auto reset = parts_.ports.control.reset_connections(freeze.id, spare);
  return {std::move(reset), parts_.ports.publisher.cut(freeze.address, spare)};
}

/// A rollback to the instance meanwhile spares its connections, and it stays thawed.
void Drains::freeze_cut(const plan::Freeze& freeze, const std::stop_token& spare, const Cut& cut) {
  if (!cut.reset) {
    parts_.counters.count(cut.reset.error());
    log::warn("event=reset_failed error={}", log::field(cut.reset.error().to_string()));
  }
  const auto ended = (cut.reset ? *cut.reset : 0U) + (cut.cut ? *cut.cut : 0U);
  if (ended > 0) record_reset(freeze.id, ended);
  if (spare.stop_requested() || !is_standby(freeze.id)) {
    freezing_.erase(freeze.id);
    return parts_.attention.mark_changed();
  }
  parts_.jobs.run(Jobs::Pool::brief,
                  [this, id = freeze.id, spare](const std::stop_token&) -> std::function<void()> {
                    auto done = parts_.ports.control.freeze(id, spare);
                    return [this, id, done] { frozen(id, done); };
                  });
}

bool Drains::is_standby(const plan::InstanceId& id) const {
  const auto& retired = parts_.journal.progress().retired;
  const auto found = retired.find(id);
  return found != retired.end() && found->second.standby;
}

/// A job may have frozen it just now, or does so meanwhile: then it thaws it itself.
void Drains::spare(const plan::InstanceId& id, Freezing& freezing) {
  if (!freezing.spare.request_stop()) return;
  const auto thawed = parts_.ports.control.thaw(id);
  if (!thawed && thawed.error().code() != Errc::not_found)  // it may have ended meanwhile
    log::warn("event=thaw_failed error={}", log::field(thawed.error().to_string()));
}

void Drains::frozen(const plan::InstanceId& id, const Status& done) {
  freezing_.erase(id);
  if (done || done.error().code() == Errc::cancelled) return parts_.attention.mark_changed();
  // The next pass tries again; it is not hurried for this.
  parts_.counters.count(done.error());
  log::warn("event=freeze_failed error={}", log::field(done.error().to_string()));
}

/// Connections that outlasted their drain are never cut in silence.
void Drains::record_reset(const plan::InstanceId& id, std::uint32_t connections) {
  parts_.counters.reset_connections += connections;
  auto note = parts_.journal.entry(
      proto::EntryKind::drained, "agent",
      fmt::format("{} connection{} to {} outlasted the drain and {} reset", connections,
                  connections == 1 ? "" : "s", id.str(), connections == 1 ? "was" : "were"),
      {});
  const auto view = parts_.observed.instances.find(id);
  if (view != parts_.observed.instances.end()) {
    note.service = view->second.seen.service.str();
    note.generation = view->second.seen.generation;
  }
  note.detail = {{"instance", id.str()}, {"reset_connections", std::to_string(connections)}};
  // Without a ledger the log has it.
  if (auto done = parts_.journal.commit({.entries = {note}}); !done)
    log::warn("event=drained instance={} reset_connections={}", id.str(), connections);
}

void Drains::spare(const plan::RoutingTable& table) {
  for (auto& [id, freezing] : freezing_) {
    if (mentions(table, freezing.address)) spare(id, freezing);
  }
}

}  // namespace holdfast::deploy::engine
