#pragma once
/// \file
/// The words that plan and the ports share: instances as observed, and where traffic goes. Plain
/// values.

#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/strong.hpp"
#include "proto/deployment/deployment.hpp"
#include "proto/digest.hpp"

namespace holdfast::deploy::plan {

/// One acceptance of a spec digest on this host, numbered from 1. 0: none.
using GenerationId = StrongNumber<struct GenerationTag>;

/// "<service, at most 40 characters>-<first 8 hex digits of the run hash>-<sequence>": valid for
/// runc, conmon, CNI and files.
using InstanceId = StrongString<struct InstanceIdTag>;
[[nodiscard]] InstanceId make_instance_id(const proto::ServiceName& service,
                                          const proto::Digest& run_hash, std::uint64_t sequence);

/// IPv4 address in host byte order.
using Address = std::uint32_t;
[[nodiscard]] std::string address_text(Address address);

enum class InstanceState : std::uint8_t {
  creating,  ///< begun, not finished: no process of the service has run
  running,
  frozen,  ///< cgroup freezer
  exited,
  unsupervised,  ///< the process runs, its conmon is gone
  broken,  ///< half there: namespace, bundle or runtime state missing (also after a reboot); only
           ///< remove helps
};
[[nodiscard]] std::string_view to_string(InstanceState state);
/// A process of the service is there, watched over or not, going on or not.
[[nodiscard]] constexpr bool has_process(InstanceState state) {
  return state == InstanceState::running || state == InstanceState::frozen ||
         state == InstanceState::unsupervised;
}

struct ExitInfo {
  int code = 0;  ///< 128 + n for signal n
  bool oom = false;
  WallTime at{};
  bool operator==(const ExitInfo&) const = default;
};

/// Drift that an instance shows by itself.
struct Deviation {
  proto::DriftKind kind;
  std::string evidence;   ///< "memory is 64 MiB, not 256 MiB"; printable
  bool in_place = false;  ///< put right under the running process (`Enforce`), whatever its kind
  bool operator==(const Deviation&) const = default;
};

struct ObservedInstance {
  InstanceId id;
  proto::ServiceName service;
  std::uint64_t generation = 0;
  proto::Digest run_hash;
  proto::Digest image;     ///< pinned
  proto::Digest manifest;  ///< of the platform
  InstanceState state = InstanceState::creating;
  bool earlier_boot = false;  ///< made before the host was started: nothing of it can run
  int pid = 0;                ///< 0 when no process
  Address address = 0;        ///< 127.0.0.1 with host network, 0 with none
  WallTime started{};         ///< of the process
  BootTime started_boot{};
  std::uint32_t starts = 0;  ///< how often a process was started in it
  std::optional<ExitInfo> exit;
  bool code_pending = false;  ///< it ended, and its monitor has yet to write how
  std::vector<Deviation> deviations;
  std::uint64_t oom_kills = 0;  ///< in its control group, since it was made
  /// Declared when it was made: for one of which no document is known any more.
  Milliseconds stop_timeout{10'000};
};

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
  std::map<Address, Address> services;  ///< virtual address → instance
  std::map<std::pair<Address, Address>, Address>
      staged;  ///< (source instance, virtual address) → instance; before `services`
  bool operator==(const RoutingTable&) const = default;
};

}  // namespace holdfast::deploy::plan
