#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "common/base/result.hpp"
#include "deploy/network/kernel/netlink.hpp"
#include "deploy/network/kernel/piece_bounds.hpp"
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
  /// Calls `look` for each that matches; it must not use this object.
  [[nodiscard]] Status visit(const FlowFilter& filter,
                             const std::function<void(const Flow&)>& look);

  struct Forgotten {
    std::uint32_t live_tcp = 0;
    bool all = true;  ///< none is left that was there at the end of the time
  };
  /// Forgets those that match and that `is_one` picks, in pieces, until none is left or the time is
  /// over. Errors: cancelled by `spare`; those of the kernel.
  [[nodiscard]] Result<Forgotten> forget(const FlowFilter& filter,
                                         const std::function<bool(const Flow&)>& is_one,
                                         const std::stop_token& spare = {},
                                         const PieceBounds& bounds = {});

 private:
  explicit Conntrack(Netlink netlink) : netlink_(std::move(netlink)) {}
  /// One that has gone is success.
  [[nodiscard]] Status forget(const Flow& flow);

  Netlink netlink_;
};

}  // namespace holdfast::deploy::network
