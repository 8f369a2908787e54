#pragma once
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "deploy/plan/model/model.hpp"

namespace holdfast::deploy::network {

/// What the network of this host offers, for `holdfast doctor`. An empty `…_fault` means that it
/// works.
struct NetworkFacts {
  std::string nft_fault;            ///< why `nft` cannot check a table with a nat chain
  std::string conntrack_fault;      ///< why connections cannot be listed
  std::uint64_t tracked = 0;        ///< connections tracked now
  std::uint64_t tracked_limit = 0;  ///< net.netfilter.nf_conntrack_max; 0: unknown
  bool forwarding = false;          ///< net.ipv4.ip_forward; the agent turns it on
  std::vector<std::string>
      dropping;  ///< chains at the forward hook that drop by default: "ip filter FORWARD"
  std::vector<std::string> dropping_alien;  ///< those of them in which the agent inserts no accept
  bool legacy_iptables =
      false;  ///< rules of iptables-legacy are loaded, which the agent does not see
  std::vector<std::string> missing_plugins;  ///< of those that the agent runs, as full paths
};

/// IPv4 addresses of this host's links, loopback too; empty when they cannot be read. Below 1 ms.
/// Thread safe.
[[nodiscard]] std::set<plan::Address> host_addresses();

/// Looks; changes nothing. Runs `nft --check` once (10 ms). Errors: perm, when not root.
[[nodiscard]] Result<NetworkFacts> inspect_host(const std::filesystem::path& cni_dir);

}  // namespace holdfast::deploy::network
