#pragma once
/// \file
/// What every step in the life of an instance works with.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"
#include "deploy/network/port/attachments.hpp"
#include "deploy/runtime/host/cgroup.hpp"
#include "deploy/runtime/host/notify_listener.hpp"
#include "deploy/runtime/host/oci_runtime.hpp"
#include "deploy/runtime/record/paths.hpp"
#include "deploy/runtime/spec/bundle.hpp"
#include "deploy/runtime/storage/host_rules.hpp"
#include "deploy/runtime/storage/service_mounts.hpp"

namespace holdfast::deploy::runtime {

/// Immutable after opening; shared by all threads.
struct Host {
  Paths paths;
  std::string group_parent;  ///< "/holdfast-<instance>"
  OciRuntime runtime;
  Cgroups cgroups;
  HostFacts facts;
  HostRules rules;
  std::filesystem::path log_writer;    ///< the program
  std::filesystem::path exec_session;  ///< the program
  plan::Address gateway = 0;           ///< of the network that isolated instances are in
  Bytes log_max_size{};                ///< of one of the two files of an instance
  const Clock& clock;
  network::Attachments& attachments;
  std::shared_ptr<NotifyListener> notify;

  [[nodiscard]] std::string group(const plan::InstanceId& id) const {
    return group_parent + "/" + id.str();
  }
  /// How the host is reached from an instance.
  [[nodiscard]] plan::Address gateway_of(proto::NetworkMode mode) const {
    constexpr plan::Address kLoopback = 0x7F000001;
    return mode == proto::NetworkMode::isolated ? gateway : kLoopback;
  }
  /// One for all conmons, so that they are not accounted to the agent and do not end with it.
  [[nodiscard]] std::string supervisors() const { return group_parent + "/conmon"; }
};

}  // namespace holdfast::deploy::runtime
