#pragma once
#include <memory>
/// \file
/// What every step in the life of an instance works with.

#include <string>

#include "common/base/clock.hpp"
#include "deploy/network/attachments.hpp"
#include "deploy/runtime/bundle.hpp"
#include "deploy/runtime/cgroup.hpp"
#include "deploy/runtime/notify_listener.hpp"
#include "deploy/runtime/oci_runtime.hpp"
#include "deploy/runtime/paths.hpp"
#include "deploy/runtime/service_mounts.hpp"

namespace holdfast::deploy::runtime {

/// Immutable after opening; shared by all threads.
struct Host {
  Paths paths;
  std::string group_parent;  ///< "/holdfast-<instance>"
  OciRuntime runtime;
  Cgroups cgroups;
  HostFacts facts;
  HostPathRule host_paths;
  const Clock& clock;
  network::Attachments& attachments;
  std::shared_ptr<NotifyListener> notify;

  [[nodiscard]] std::string group(const plan::InstanceId& id) const {
    return group_parent + "/" + id.str();
  }
  /// One for all conmons, so that they are not accounted to the agent and do not end with it.
  [[nodiscard]] std::string supervisors() const { return group_parent + "/conmon"; }
};

}  // namespace holdfast::deploy::runtime
