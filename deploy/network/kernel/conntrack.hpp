#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "deploy/network/kernel/netlink.hpp"
#include "deploy/network/port/publisher.hpp"

namespace holdfast::deploy::network {

/// One direction of a tracked flow.
struct FlowTuple {
  Address source = 0;
  Address destination = 0;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
};

/// A tracked IPv4 flow of TCP or UDP.
struct Flow {
  std::uint8_t protocol = 0;   ///< IPPROTO_TCP, IPPROTO_UDP
  FlowTuple original;          ///< as the client sent it
  FlowTuple reply;             ///< its source is the instance, where the destination was translated
  std::uint8_t tcp_state = 0;  ///< TCP_CONNTRACK_*
  std::uint16_t zone = 0;
  std::uint32_t id = 0;

  [[nodiscard]] bool is_translated() const { return original.destination != reply.source; }
  /// TCP that may still carry data: from SYN_SENT up to CLOSE_WAIT, where one side has closed and
  /// the other still answers.
  [[nodiscard]] bool is_live_tcp() const;
};

struct FlowFilter {
  std::optional<std::uint8_t> protocol;
  std::optional<Address> reply_source;
};

/// Connection tracking by ctnetlink. Not thread safe. The kernel filters while it walks its table:
/// about 10 ms for 100,000 flows.
class Conntrack {
 public:
  [[nodiscard]] static Result<Conntrack> open();
  [[nodiscard]] Result<std::vector<Flow>> flows(const FlowFilter& filter);
  /// A flow that has gone is success.
  [[nodiscard]] Status forget(const Flow& flow);

 private:
  explicit Conntrack(Netlink netlink) : netlink_(std::move(netlink)) {}
  Netlink netlink_;
};

}  // namespace holdfast::deploy::network
