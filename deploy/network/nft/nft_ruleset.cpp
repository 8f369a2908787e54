#include "deploy/network/nft/nft_ruleset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace holdfast::deploy::network {
namespace {

using plan::address_text;

// Why each chain is as it is stands in this folder's README.md. No counters and no anonymous sets:
// the rules as the kernel lists them are compared with what was loaded, so they must not change by
// themselves.
constexpr std::string_view kRules = R"(
  set hairpin {{
    type ipv4_addr . ipv4_addr
    size 1048575
    flags dynamic
  }}
  chain guard {{
    type filter hook prerouting priority -310; policy accept;
    iifname "lo" accept
    ip daddr 127.0.0.0/8 drop
    ip saddr 127.0.0.0/8 drop
    ip saddr {subnet} fib saddr . iif oif missing drop
    ip saddr != {subnet} ip daddr {services} drop
  }}
  chain route {{
    ip daddr {services} dnat to ip saddr . ip daddr map @staged
    ip daddr {services} dnat to ip daddr map @services
    ip daddr {services} return
    fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @ports
    fib daddr type local dnat ip to meta l4proto . th dport map @any_ports
  }}
  chain prerouting {{
    type nat hook prerouting priority -105; policy accept;
    ip saddr {subnet} add @hairpin {{ ip saddr . ip saddr }}
    jump route
  }}
  chain output {{
    type nat hook output priority -105; policy accept;
    jump route
  }}
  chain postrouting {{
    type nat hook postrouting priority 95; policy accept;
    ip saddr . ip daddr @hairpin masquerade
    ip saddr 127.0.0.0/8 ip daddr {subnet} masquerade
    ip saddr {subnet} ip daddr != {subnet} masquerade
  }}
  chain link_local {{{link_local}
  }}
  chain forward {{
    type filter hook forward priority 0; policy accept;
    ip saddr {subnet} ip daddr {metadata} jump link_local
    ip saddr {subnet} accept
    ip daddr {subnet} ct state established,related accept
    ip daddr {subnet} ct status dnat accept
    ip daddr {subnet} drop
  }}
  chain input {{
    type filter hook input priority 0; policy accept;
    ip saddr {subnet} ip daddr {metadata} jump link_local
    ip daddr {services} meta l4proto tcp reject with tcp reset
    ip daddr {services} reject
  }}
}}
)";

/// Where clouds tell of the host and hand out its credentials: link-local, and the addresses of
/// Alibaba Cloud and of Azure's wire server, which are not.
constexpr std::string_view kMetadata = "{ 169.254.0.0/16, 100.100.100.200, 168.63.129.16 }";

// Name servers of some clouds have such an address.
constexpr std::string_view kLinkLocal = R"(
    udp dport 53 accept
    tcp dport 53 accept
    reject with icmp type admin-prohibited)";

std::string_view name_of(proto::Transport transport) {
  return transport == proto::Transport::tcp ? "tcp" : "udp";
}

std::string endpoint_text(const Endpoint& endpoint) {
  return fmt::format("{} . {}", address_text(endpoint.address), endpoint.port);
}

void append_map(std::string& text, std::string_view name, std::string_view type,
                const std::vector<std::string>& elements) {
  text += fmt::format("  map {} {{\n    type {};\n", name, type);
  if (!elements.empty())
    text += fmt::format("    elements = {{ {} }}\n", fmt::join(elements, ", "));
  text += "  }\n";
}

void append_maps(std::string& text, const RoutingTable& routing) {
  std::vector<std::string> ports;
  std::vector<std::string> any_ports;
  std::vector<std::string> services;
  std::vector<std::string> staged;
  for (const auto& [key, endpoint] : routing.ports) {
    const auto rest =
        fmt::format("{} . {} : {}", name_of(key.transport), key.port, endpoint_text(endpoint));
    if (key.host_ip == 0) any_ports.push_back(rest);
    if (key.host_ip != 0) ports.push_back(fmt::format("{} . {}", address_text(key.host_ip), rest));
  }
  for (const auto& [address, instance] : routing.services)
    services.push_back(fmt::format("{} : {}", address_text(address), address_text(instance)));
  for (const auto& [key, instance] : routing.staged)
    staged.push_back(fmt::format("{} . {} : {}", address_text(key.first), address_text(key.second),
                                 address_text(instance)));
  append_map(text, "ports", "ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service",
             ports);
  append_map(text, "any_ports", "inet_proto . inet_service : ipv4_addr . inet_service", any_ports);
  append_map(text, "services", "ipv4_addr : ipv4_addr", services);
  append_map(text, "staged", "ipv4_addr . ipv4_addr : ipv4_addr", staged);
}

std::string render(const RulesetOptions& options, std::string_view prepare,
                   const RoutingTable& routing) {
  // `add` first, so that preparing a table that is not there does not fail.
  auto text = fmt::format("add table ip {0}\n{1} table ip {0}\ntable ip {0} {{\n",
                          table_name(options), prepare);
  text +=
      fmt::format("  comment \"holdfast agent {}: changed by the agent only\"\n", options.instance);
  append_maps(text, routing);
  text += fmt::format(fmt::runtime(kRules), fmt::arg("services", options.service_subnet.str()),
                      fmt::arg("subnet", options.subnet.str()), fmt::arg("metadata", kMetadata),
                      fmt::arg("link_local", options.allow_link_local ? "" : kLinkLocal));
  return text;
}

}  // namespace

std::string table_name(const RulesetOptions& options) {
  std::string name = "holdfast_" + options.instance;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::string render_ruleset(const RulesetOptions& options, const RoutingTable& routing) {
  return render(options, "delete", routing);
}

std::string render_rules(const RulesetOptions& options) { return render(options, "flush", {}); }

const std::map<std::string, bool>& ruleset_chains() {
  static const std::map<std::string, bool> chains{
      {"guard", true},  {"route", false},      {"input", true},   {"prerouting", true},
      {"output", true}, {"postrouting", true}, {"forward", true}, {"link_local", false}};
  return chains;
}

}  // namespace holdfast::deploy::network
