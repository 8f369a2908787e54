#include "deploy/network/udp_mover.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <stop_token>

#include "common/log/log.hpp"
#include "common/os/process.hpp"

namespace holdfast::deploy::network {
namespace {

/// How long flows of a staged view alone may wait for the switch it prepares.
constexpr std::chrono::milliseconds kStagedWaits{50};

template <class Map, class Key>
bool differs(const Map& before, const Map& after, const Key& key) {
  const auto old = before.find(key);
  const auto fresh = after.find(key);
  if (old == before.end() || fresh == after.end())
    return (old == before.end()) != (fresh == after.end());
  return old->second != fresh->second;
}

/// A port on every address leads only flows to the host itself: those that came to the old
/// instance, or, not translated yet, to nobody. One that passes through to some other host has that
/// host answering.
bool was_led_by(const Flow& flow, const RoutingTable& before, const PortKey& any) {
  if (!flow.is_translated()) return true;
  const auto old = before.ports.find(any);
  return old != before.ports.end() && old->second.address == flow.reply.source;
}

Status forget_moved(const std::vector<std::pair<RoutingTable, RoutingTable>>& changes) {
  HF_ASSIGN(auto conntrack, Conntrack::open());
  const auto moved = [&](const Flow& flow) {
    return std::any_of(changes.begin(), changes.end(), [&](const auto& change) {
      return is_moved_udp(flow, change.first, change.second);
    });
  };
  HF_ASSIGN(const auto forgotten,
            conntrack.forget({.protocol = IPPROTO_UDP, .reply_source = {}}, moved));
  if (!forgotten.all) log::warn("event=udp_flows_left");
  return ok();
}

}  // namespace

bool is_moved_udp(const Flow& flow, const RoutingTable& before, const RoutingTable& after) {
  const auto& to = flow.original;
  const PortKey exact{to.destination, proto::Transport::udp, to.destination_port};
  const PortKey any{0, proto::Transport::udp, to.destination_port};
  return differs(before.services, after.services, to.destination) ||
         differs(before.staged, after.staged, std::pair{to.source, to.destination}) ||
         differs(before.ports, after.ports, exact) ||
         (differs(before.ports, after.ports, any) && was_led_by(flow, before, any));
}

UdpMover::~UdpMover() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void UdpMover::moved(const RoutingTable& before, const RoutingTable& after) {
  const auto has_udp = [](const RoutingTable& table) {
    return !table.services.empty() || !table.staged.empty() ||
           std::any_of(table.ports.begin(), table.ports.end(), [](const auto& port) {
             return port.first.transport == proto::Transport::udp;
           });
  };
  if (before == after || (!has_udp(before) && !has_udp(after))) return;
  const std::scoped_lock lock{mutex_};
  changes_.emplace_back(before, after);
  urgent_ = urgent_ || before.ports != after.ports || before.services != after.services;
  if (!thread_.joinable())
    thread_ = std::jthread{[this](const std::stop_token& stop) { work(stop); }};
  wake_.notify_one();
}

void UdpMover::work(const std::stop_token& stop) {
  os::name_this_thread("udp-mover");
  for (;;) {
    std::vector<std::pair<RoutingTable, RoutingTable>> changes;
    {
      std::unique_lock lock{mutex_};
      wake_.wait(lock, stop, [&] { return !changes_.empty(); });
      // A switch mostly follows within milliseconds, and the walk would take the processor from it.
      wake_.wait_for(lock, stop, kStagedWaits, [&] { return urgent_; });
      urgent_ = false;
      changes.swap(changes_);
    }
    // What was asked for before the stop is still done.
    if (changes.empty()) return;
    if (auto done = forget_moved(changes); !done)
      log::warn("event=udp_flows_not_moved error={}", log::field(done.error().to_string()));
  }
}

}  // namespace holdfast::deploy::network
