#pragma once
/// \file
/// Capability names and the sets of the two profiles.

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::deploy::runtime {

/// What the service may have: nothing under `hardened`, Podman's eleven under `compatible`, and
/// `cap_add`. With CAP_ prefix, sorted, without duplicates. Errors: runtime, naming an unknown
/// capability and the nearest known one.
[[nodiscard]] Result<std::vector<std::string>> capabilities(const proto::Security& security);

/// Bit mask as in /proc/PID/status for names with CAP_ prefix; unknown names count nothing.
[[nodiscard]] std::uint64_t capability_mask(const std::vector<std::string>& names);

}  // namespace holdfast::deploy::runtime
