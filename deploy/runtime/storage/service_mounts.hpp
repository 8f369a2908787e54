#pragma once
/// \file
/// Volumes, tmpfs, generated files and secrets of a service as mounts of its bundle.

#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "deploy/runtime/record/paths.hpp"
#include "deploy/runtime/spec/bundle.hpp"
#include "deploy/runtime/spec/user.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::deploy::runtime {

/// What the operator lets services mount.
struct HostPathRule {
  std::vector<std::string> allowed;  ///< prefixes; empty: everything but the built-in refusals
  std::vector<std::string> refused;  ///< the agent's own directories, besides the built-in ones
};

/// Checks a host path by name only: absolute, clean, not in or above a refused place, within an
/// allowed one. Errors: runtime, or host where agent.yaml allows too little, naming the rule.
[[nodiscard]] Status check_host_path(const std::string& path, const HostPathRule& rule);
/// The same, and that it is there and reached through no symlink. May wait for a network file
/// system: not for the engine thread. Errors: also host, with the next step.
[[nodiscard]] Status check_volume_source(const std::string& path, const HostPathRule& rule);

struct ServiceMountsInput {
  const Paths& paths;
  plan::InstanceId id;
  const proto::Service& service;
  const User& user;
  const HostPathRule& rule;
  int root;                      ///< the image's merged tree, open; fills new volumes
  std::filesystem::path init{};  ///< of the host, for `kInitPath`; empty: none
  std::stop_token stop{};        ///< ends the filling of new volumes
};

/// All mounts besides the standard ones, in mount order: tmpfs and volumes by destination, then
/// /etc files, then secrets. Named volumes are created at first use (volume.hpp). Host paths
/// are opened without following any symlink and bound at run_dir/mnt/<id>/vol/<n>, so that nobody
/// can swap them before the runtime mounts them. Blocks. Errors: runtime, host, io, nospace.
[[nodiscard]] Result<std::vector<BundleMount>> service_mounts(const ServiceMountsInput& input);

}  // namespace holdfast::deploy::runtime
