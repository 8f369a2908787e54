#pragma once
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "deploy/network/kernel/conntrack.hpp"
#include "deploy/network/port/publisher.hpp"

namespace holdfast::deploy::network {

/// Pure: true when this UDP flow was, or should have been, led by an entry that differs between the
/// two tables.
[[nodiscard]] bool is_moved_udp(const Flow& flow, const RoutingTable& before,
                                const RoutingTable& after);

/// Makes the kernel forget UDP flows of changed entries, in a thread of its own that is started at
/// the first change: listing the connections of a host takes 10 ms and more. A failure is logged;
/// the flows then move when they end, or at `cut`.
class UdpMover {
 public:
  UdpMover() = default;
  UdpMover(const UdpMover&) = delete;
  UdpMover& operator=(const UdpMover&) = delete;
  ~UdpMover();

  /// Returns at once.
  void moved(const RoutingTable& before, const RoutingTable& after);

 private:
  void work(const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::vector<std::pair<RoutingTable, RoutingTable>> changes_;  ///< guarded by `mutex_`
  bool urgent_ = false;  ///< more than a staged view changed; guarded by `mutex_`
  std::jthread thread_;
};

}  // namespace holdfast::deploy::network
