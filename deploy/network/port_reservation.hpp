#pragma once
#include <map>
#include <set>
#include <string>

#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"
#include "deploy/network/port/publisher.hpp"

namespace holdfast::deploy::network {

/// Published ports held by bound sockets that never listen: another program's bind or listen fails
/// with EADDRINUSE, the kernel hands none of them out as a source port, and what is not translated
/// is refused as if nobody were there. Not thread safe.
class PortReservation {
 public:
  /// Holds exactly `ports`. All or nothing for new ones; those no longer named are let go. An
  /// address that the host does not have yet is fine (it may come later). Errors: port_in_use
  /// (whose it is is not looked for: the engine asks, and the table of sockets is as long as the
  /// users of the host make it); perm.
  [[nodiscard]] Status hold(const std::set<PortKey>& ports);
  void release() { held_.clear(); }

 private:
  std::map<PortKey, os::UniqueFd> held_;
};

}  // namespace holdfast::deploy::network
