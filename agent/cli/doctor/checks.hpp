#pragma once
/// \file
/// What `holdfast doctor` looks at, in this process, with the rights of whoever asks. Every check
/// ends within seconds, changes nothing that outlives this process, and says what to do.

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "proto/config/agent_config.hpp"

namespace holdfast::agent::cli {

enum class Verdict : std::uint8_t { ok, warn, fail };

struct Finding {
  std::string check;  ///< "runtime"
  Verdict verdict = Verdict::ok;
  std::string found;  ///< "runc 1.1.5"
  std::string next;   ///< what to do; empty when all is well
};
using Findings = std::vector<Finding>;

/// runc or crun, by the agent's own probe.
[[nodiscard]] Finding check_runtime(const proto::AgentConfig& config);
[[nodiscard]] Finding check_conmon();
/// The program that `init: true` makes process 1.
[[nodiscard]] Finding check_init();
/// The plugins that networks of containers are made with.
[[nodiscard]] Finding check_cni(const proto::AgentConfig& config);
/// The kernel takes rules like ours: loaded in check mode.
[[nodiscard]] Finding check_nft();

[[nodiscard]] Finding check_kernel();
[[nodiscard]] Finding check_processor();
/// Hierarchy and the controllers that limits need.
[[nodiscard]] Finding check_cgroup();
/// Mounts one, read-only with two lowers as containers have it, in a mount namespace of this
/// process.
[[nodiscard]] Finding check_overlay(const proto::AgentConfig& config);
/// Space and inodes where images go.
[[nodiscard]] Findings check_disk(const proto::AgentConfig& config);
[[nodiscard]] Finding check_clock(const Clock& clock);
[[nodiscard]] Finding check_forwarding();
/// Whether containers with a network of their own have a name server.
[[nodiscard]] Finding check_names();

/// One finding for each registry of the configuration and of the images that run.
[[nodiscard]] Findings check_registries(const proto::AgentConfig& config,
                                        const std::vector<std::string>& images, const Clock& clock);

}  // namespace holdfast::agent::cli
