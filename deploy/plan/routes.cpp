#include <arpa/inet.h>

#include "deploy/plan/plan.hpp"

namespace holdfast::deploy::plan {
namespace {

constexpr Address kLoopback = 0x7F000001;

Address address_of(const Observed& observed, const InstanceId& id) {
  const auto found = observed.instances.find(id);
  if (found == observed.instances.end() || found->second.seen.address == kLoopback) return 0;
  return found->second.seen.address;
}

Address parse_ip(const std::string& text) {
  in_addr parsed{};
  if (text.empty() || inet_pton(AF_INET, text.c_str(), &parsed) != 1) return 0;
  return ntohl(parsed.s_addr);
}

PortKey key_of(const proto::PublishedPort& port) {
  return {parse_ip(port.host_ip), port.transport, port.host_port};
}

}  // namespace

std::set<PortKey> published_ports(const proto::Deployment& deployment) {
  std::set<PortKey> keys;
  for (const auto& [name, service] : deployment.services) {
    for (const auto& port : service.publish) keys.insert(key_of(port));
  }
  return keys;
}

RoutingTable wanted_routes(const Progress& progress, const Observed& observed) {
  RoutingTable table;
  const auto& rollout = progress.rollout;
  const bool before_switch =
      rollout && rollout->phase != Phase::switching && rollout->phase != Phase::soaking;
  const auto found = observed.documents.find(before_switch ? rollout->from : progress.current);
  // Nobody knows any more where traffic should go; where it goes is right.
  if (!progress.kept.empty() && found == observed.documents.end() && observed.routing)
    table = {
        .ports = observed.routing->ports, .services = observed.routing->services, .staged = {}};
  if (found != observed.documents.end()) {
    for (const auto& [name, service] : found->second->services) {
      if (progress.stopped.contains(name)) continue;
      const auto serving = progress.serving.find(name);
      const Address instance =
          serving == progress.serving.end() ? 0 : address_of(observed, serving->second);
      if (instance == 0) continue;
      for (const auto& port : service.publish)
        table.ports[key_of(port)] = {instance, port.container_port};
      if (const auto address = progress.addresses.find(name); address != progress.addresses.end())
        table.services[address->second] = instance;
    }
  }
  if (progress.rehearsal) {
    // Those that rehearse reach each other, not what serves.
    for (const auto& [viewer, viewer_id] : progress.rehearsal->instances) {
      const Address source = address_of(observed, viewer_id);
      for (const auto& [name, id] : progress.rehearsal->instances) {
        const Address target = address_of(observed, id);
        const auto address = progress.addresses.find(name);
        if (source != 0 && target != 0 && address != progress.addresses.end())
          table.staged[{source, address->second}] = target;
      }
    }
  }
  if (!before_switch || rollout->phase == Phase::reverting) return table;
  // Staged view: the new instances reach each other, not the old ones, by service name.
  for (const auto& [viewer, viewer_id] : rollout->fresh) {
    const Address source = address_of(observed, viewer_id);
    for (const auto& [name, id] : rollout->fresh) {
      const Address target = address_of(observed, id);
      const auto address = progress.addresses.find(name);
      if (source != 0 && target != 0 && address != progress.addresses.end())
        table.staged[{source, address->second}] = target;
    }
  }
  return table;
}

}  // namespace holdfast::deploy::plan
