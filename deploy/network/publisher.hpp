#pragma once
/// \file
/// The port through which traffic reaches instances: one nftables table, one transaction.

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "common/base/result.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::deploy::network {

/// IPv4 address in host byte order.
using Address = std::uint32_t;

/// A port of the host that is published. `host_ip` 0: on every address.
struct PortKey {
  Address host_ip = 0;
  proto::Transport transport = proto::Transport::tcp;
  std::uint16_t port = 0;
  auto operator<=>(const PortKey&) const = default;
};
/// "127.0.0.1:9000/tcp", "*:80/tcp".
[[nodiscard]] std::string to_string(const PortKey& key);

struct Endpoint {
  Address address = 0;
  std::uint16_t port = 0;
  auto operator<=>(const Endpoint&) const = default;
};

/// Where new connections go. The whole truth: what is not in it is not published.
struct RoutingTable {
  std::map<PortKey, Endpoint> ports;
  std::map<Address, Address> services;                     ///< virtual address → instance
  std::map<std::pair<Address, Address>, Address> staged;   ///< (source instance, virtual address) → instance; before `services`
  bool operator==(const RoutingTable&) const = default;
};

/// Owner of the table. `apply`, `observe` and `reserve` are for the engine thread (≤ 1 ms each); not thread safe.
class Publisher {
 public:
  virtual ~Publisher() = default;

  /// What the kernel holds now. Errors: not_found when the table or a chain of it is missing or altered.
  virtual Result<RoutingTable> observe() = 0;

  /// Makes the kernel hold exactly `wanted` in one transaction, creating the table first where it is missing. Established
  /// connections stay where they are; UDP flows of changed entries are forgotten, so that they move.
  virtual Status apply(const RoutingTable& wanted) = 0;

  /// Holds exactly these ports by bound sockets, so that no other program takes them. All or nothing for new ones; ports no
  /// longer named are let go. Errors: port_in_use, naming port and, where it can be found, the owner process.
  virtual Status reserve(const std::set<PortKey>& ports) = 0;

  /// Established tracked connections to an instance, for the drain.
  virtual Result<std::uint32_t> connections(Address instance) = 0;
  /// Forgets all tracked connections to an instance, so that nothing reaches it any more. Returns how many.
  virtual Result<std::uint32_t> cut(Address instance) = 0;
};

}  // namespace holdfast::deploy::network
