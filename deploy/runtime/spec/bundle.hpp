#pragma once
/// \file
/// config.json of the OCI runtime (runtime-spec 1.0.2) with the hardened defaults of
/// packaging/doc/security.md 3.1. Pure.

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "deploy/runtime/record/record.hpp"
#include "deploy/runtime/spec/capabilities.hpp"
#include "deploy/runtime/spec/confinement.hpp"
#include "deploy/runtime/spec/devices.hpp"
#include "deploy/runtime/spec/host_facts.hpp"
#include "deploy/runtime/spec/seccomp.hpp"
#include "deploy/runtime/spec/user.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::deploy::runtime {

inline constexpr std::uint64_t kDefaultShm = 64U << 20;  ///< Docker's and Podman's

struct BundleMount {
  std::string destination;
  std::string type;  ///< "bind", "tmpfs", …
  std::string source;
  std::vector<std::string> options;
  bool operator==(const BundleMount&) const = default;
};

struct ProcessSpec {
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string cwd = "/";
  User user;
  Capabilities capabilities;
  bool no_new_privileges = true;
  std::map<std::string, proto::Ulimit> ulimits{};  ///< besides the usual ones, or in their place
};

struct BundleSpec {
  ProcessSpec process;
  std::string hostname;
  std::filesystem::path rootfs;
  bool read_only = true;
  std::vector<BundleMount>
      mounts;  ///< those of the service, in mount order, after the standard ones
  proto::NetworkMode network = proto::NetworkMode::isolated;
  std::string netns;  ///< path, where isolated
  Limits limits;
  std::string cgroup;  ///< "/holdfast-main/web-…"
  std::optional<SeccompProfile> seccomp;
  std::uint64_t shm_bytes = kDefaultShm;
  std::vector<DeviceNode> devices{};
  std::map<std::string, std::string> sysctls{};  ///< besides the usual ones, or in their place
  HostFacts host;
};

/// Labels of the image never become annotations: runtimes act on some (R-3.1, T-12).
[[nodiscard]] std::string config_json(const BundleSpec& spec);

/// The same config.json with these variables in place of those of the same name. Errors: io.
[[nodiscard]] Result<std::string> with_variables(
    const std::string& config, const std::map<std::string, std::string>& variables);

/// What such a config.json asks for, to be compared with /proc. Errors: io.
[[nodiscard]] Result<Confinement> confinement_of(const std::string& config);

/// The mounts of the service in such a config.json, in mount order: all but the standard ones.
/// Errors: io.
[[nodiscard]] Result<std::vector<BundleMount>> service_mounts_of(const std::string& config);

/// /proc, /dev and the rest that every container has (packaging/doc/security.md 3.1).
[[nodiscard]] std::vector<BundleMount> standard_mounts(std::uint64_t shm_bytes = kDefaultShm);

/// cgroup v1 and v2 both take a quota for a period of 100 ms.
inline constexpr std::uint64_t kCpuPeriodUs = 100'000;

}  // namespace holdfast::deploy::runtime
