// The end of a drain: connections are counted and cut by jobs, for the kernel walks the whole
// table of tracked connections for it: 12 ms for an empty one of 262,144 buckets.
#include <fmt/format.h>

#include "common/log/log.hpp"
#include "deploy/engine/core.hpp"

namespace holdfast::deploy::engine {
namespace {

bool mentions(const plan::RoutingTable& table, plan::Address address) {
  for (const auto& [port, endpoint] : table.ports) {
    if (endpoint.address == address) return true;
  }
  for (const auto& [service, instance] : table.services) {
    if (instance == address) return true;
  }
  return false;
}

}  // namespace

/// What was counted last, of the instances that drain now; and another count.
void Core::observe_connections() {
  const auto drains = [&](const plan::InstanceId& id) {
    const auto found = progress_.retired.find(id);
    return found != progress_.retired.end() && !found->second.standby;
  };
  std::erase_if(open_, [&](const auto& row) { return !drains(row.first); });
  observed_.connections = open_;
  count_connections();
}

void Core::count_connections() {
  // As often as the planner wakes for it, and not whenever something else happens.
  constexpr Milliseconds kPace{200};
  const auto now = ports_.clock.boot();
  if (counting_ || now < next_count_) return;
  std::map<plan::InstanceId, plan::Address> draining;
  std::set<plan::Address> addresses;
  for (const auto& [id, retired] : progress_.retired) {
    const auto found = observed_.instances.find(id);
    if (retired.standby || now - retired.since < plan::kFirstCount ||
        found == observed_.instances.end() || found->second.seen.address == 0)
      continue;
    draining.emplace(id, found->second.seen.address);
    addresses.insert(found->second.seen.address);
  }
  if (draining.empty()) return;
  counting_ = true;
  next_count_ = now + kPace;
  jobs_.run(Jobs::Pool::drain, [this, draining, addresses](const std::stop_token&) {
    auto counted = ports_.publisher.connections(addresses);
    return [this, draining, counted] {
      counting_ = false;
      if (!counted) return count(counted.error());
      for (const auto& [id, address] : draining) {
        const auto open = counted->at(address);
        const auto before = open_.find(id);
        // Quiet: the drain ends now, not when its time is over.
        changed_ = changed_ || (open == 0 && (before == open_.end() || before->second != 0));
        open_.insert_or_assign(id, open);
      }
    };
  });
}

/// Cuts what outlasted the drain, then freezes. A rollback to the instance meanwhile spares both.
void Core::start_freeze(const plan::Freeze& freeze) {
  const auto [running, added] =
      freezing_.try_emplace(freeze.id, freeze.address, std::stop_source{});
  if (!added) return;
  jobs_.run(Jobs::Pool::drain,
            [this, freeze, spare = running->second.second.get_token()](const std::stop_token&) {
              // Peers hear of it while their packets still find the way; then the way is forgotten.
              auto reset = freeze.address == 0 ? Result<std::uint32_t>{0U}
                                               : ports_.control.reset_connections(freeze.id, spare);
              auto cut = freeze.address == 0 ? Result<std::uint32_t>{0U}
                                             : ports_.publisher.cut(freeze.address, spare);
              return [this, freeze, spare, reset, cut] {
                freezing_.erase(freeze.id);
                if (!reset) {
                  count(reset.error());
                  log::warn("event=reset_failed error={}", log::field(reset.error().to_string()));
                }
                const auto ended = (reset ? *reset : 0U) + (cut ? *cut : 0U);
                if (ended > 0) record_reset(freeze.id, ended);
                const auto retired = progress_.retired.find(freeze.id);
                if (spare.stop_requested() || retired == progress_.retired.end() ||
                    !retired->second.standby) {
                  changed_ = true;
                  return;
                }
                const auto frozen = ports_.control.freeze(freeze.id);
                if (frozen) {
                  changed_ = true;
                  return;
                }
                // The next turn tries again; this one is not hurried for it.
                count(frozen.error());
                log::warn("event=freeze_failed error={}", log::field(frozen.error().to_string()));
              };
            });
}

/// Connections that outlasted their drain are never cut in silence.
void Core::record_reset(const plan::InstanceId& id, std::uint32_t connections) {
  figures_.reset_connections += connections;
  const auto view = observed_.instances.find(id);
  auto note =
      entry(proto::EntryKind::drained, "agent",
            fmt::format("{} connection{} to {} outlasted the drain and {} reset", connections,
                        connections == 1 ? "" : "s", id.str(), connections == 1 ? "was" : "were"),
            {});
  if (view != observed_.instances.end()) {
    note.service = view->second.seen.service.str();
    note.generation = view->second.seen.generation;
  }
  note.detail = {{"instance", id.str()}, {"reset_connections", std::to_string(connections)}};
  // Without a ledger the log has it.
  if (auto done = commit({.entries = {note}}); !done)
    log::warn("event=drained instance={} reset_connections={}", id.str(), connections);
}

/// New connections go to these instances from now on: none of theirs may be cut.
void Core::spare_from_cut(const plan::RoutingTable& table) {
  for (auto& [id, row] : freezing_) {
    if (mentions(table, row.first)) row.second.request_stop();
  }
}

}  // namespace holdfast::deploy::engine
