#pragma once
/// \file
/// The port through which traffic reaches instances: one nftables table, one transaction.

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <stop_token>

#include "common/base/result.hpp"
#include "deploy/plan/model/model.hpp"

namespace holdfast::deploy::network {

using plan::Address;
using plan::Endpoint;
using plan::PortKey;
using plan::RoutingTable;

/// Owner of the table. `apply`, `observe` and `reserve` are for the engine thread (≤ 1 ms each) and
/// not thread safe; `restore` is for a job, also while the engine thread observes, but not while it
/// applies. Nothing of the first waits for the second.
class Publisher {
 public:
  virtual ~Publisher() = default;

  /// What the kernel holds now. Errors: not_found when the table or a chain of it is missing or
  /// altered.
  virtual Result<RoutingTable> observe() = 0;

  /// Makes the kernel hold exactly `wanted` in one transaction. Established connections stay where
  /// they are; UDP flows of changed entries are forgotten, so that they move. Errors: when the
  /// table or what the host needs beside it is missing or was altered, by others or just now:
  /// `restore` makes it whole. Where only the host is at fault traffic goes as wanted already.
  virtual Status apply(const RoutingTable& wanted) = 0;

  /// Makes the table, with `wanted` in it, and what the host needs, whatever is there. Runs
  /// programs: 10 ms as a rule, a minute where they hang. One call at a time. Errors: cni, perm,
  /// with the next step.
  virtual Status restore(const RoutingTable& wanted) = 0;

  /// Holds exactly these ports by bound sockets, so that no other program takes them. All or
  /// nothing for new ones; ports no longer named are let go. Errors: port_in_use, naming port and,
  /// where it can be found, the owner process.
  virtual Status reserve(const std::set<PortKey>& ports) = 0;

  /// Calls `on_change`, from a thread of its own, soon (≤ 20 ms) after somebody else changed the
  /// table, a route or a link that instances need. Set once.
  virtual void watch(std::function<void()> on_change) = 0;

  /// Established tracked connections to each of `instances`, for the drain. Walks the connections
  /// of the whole host (12 ms for 262,144 buckets), so not for the engine thread; thread safe.
  virtual Result<std::map<Address, std::uint32_t>> connections(
      const std::set<Address>& instances) = 0;
  /// Forgets all tracked connections to an instance, so that nothing reaches it any more. Returns
  /// how many. Walks as `connections` does; thread safe. When `stop` is asked for before new
  /// connections are sent to the instance, none of these is forgotten; error then: cancelled.
  virtual Result<std::uint32_t> cut(Address instance, const std::stop_token& stop) = 0;
};

}  // namespace holdfast::deploy::network
