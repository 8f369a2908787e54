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
  /// address that the host does not have yet is fine (it may come later). Errors: port_in_use,
  /// naming the owner where it can be found; perm.
  [[nodiscard]] Status hold(const std::set<PortKey>& ports);
  void release() { held_.clear(); }

 private:
  std::map<PortKey, os::UniqueFd> held_;
};

/// "nginx (pid 812)": who has a socket bound to that port in the calling thread's network
/// namespace; empty when unknown.
[[nodiscard]] std::string port_owner(const PortKey& key);

}  // namespace holdfast::deploy::network
