#pragma once
/// \file
/// The port through which traffic reaches instances: one nftables table, one transaction.

#include <cstdint>
#include <set>

#include "common/base/result.hpp"
#include "deploy/plan/model.hpp"

namespace holdfast::deploy::network {

using plan::Address;
using plan::Endpoint;
using plan::PortKey;
using plan::RoutingTable;

/// Owner of the table. `apply`, `observe` and `reserve` are for the engine thread (≤ 1 ms each);
/// not thread safe.
class Publisher {
 public:
  virtual ~Publisher() = default;

  /// What the kernel holds now. Errors: not_found when the table or a chain of it is missing or
  /// altered.
  virtual Result<RoutingTable> observe() = 0;

  /// Makes the kernel hold exactly `wanted` in one transaction, creating the table first where it
  /// is missing. Established connections stay where they are; UDP flows of changed entries are
  /// forgotten, so that they move.
  virtual Status apply(const RoutingTable& wanted) = 0;

  /// Holds exactly these ports by bound sockets, so that no other program takes them. All or
  /// nothing for new ones; ports no longer named are let go. Errors: port_in_use, naming port and,
  /// where it can be found, the owner process.
  virtual Status reserve(const std::set<PortKey>& ports) = 0;

  /// Established tracked connections to an instance, for the drain.
  virtual Result<std::uint32_t> connections(Address instance) = 0;
  /// Forgets all tracked connections to an instance, so that nothing reaches it any more. Returns
  /// how many.
  virtual Result<std::uint32_t> cut(Address instance) = 0;
};

}  // namespace holdfast::deploy::network
