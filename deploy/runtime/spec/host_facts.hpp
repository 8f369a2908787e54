#pragma once
/// \file
/// What this host can give to containers, and whether that is what a service asks for.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::deploy::runtime {

/// What the host can do, probed once.
struct HostFacts {
  std::uint64_t nofile_hard = 1024;  ///< the most that is given here without being asked for
  int oom_score_adj = 0;             ///< of containers; never below what this process may set
  bool cgroup_namespace = false;     ///< unified hierarchy
  bool raises_limits = false;        ///< CAP_SYS_RESOURCE: above `own_limits`
  std::uint64_t nr_open = 1U << 20;  ///< fs.nr_open, above which nobody's nofile goes
  std::map<std::string, std::uint64_t> own_limits{};  ///< hard ones of this process, by name
};
[[nodiscard]] HostFacts probe_host();

/// Whether the limits can be given here, by this process. Pure. Errors: host, naming the limit,
/// what is possible and the line that allows more.
[[nodiscard]] Status check_ulimits(const std::map<std::string, proto::Ulimit>& wanted,
                                   const HostFacts& facts);

/// Where Debian's packages and Docker put an init for containers, in order of preference.
[[nodiscard]] std::vector<std::filesystem::path> known_inits();
/// The first of `candidates` that can be process 1 of any image: a program of root's that nobody
/// else may write, linked statically. Reads at most a few KiB of each. Errors: host, with the
/// package to install.
[[nodiscard]] Result<std::filesystem::path> find_init(
    const std::vector<std::filesystem::path>& candidates = known_inits());

/// What is said where there is none.
[[nodiscard]] Error no_init();

}  // namespace holdfast::deploy::runtime
