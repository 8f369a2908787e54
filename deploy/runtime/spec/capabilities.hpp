#pragma once
/// \file
/// Capability names and the sets of the two profiles.

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::deploy::runtime {

/// Names with CAP_ prefix, sorted, without duplicates.
struct Capabilities {
  std::vector<std::string> bounding;  ///< the most it can ever get, by set-user-id or file sets
  std::vector<std::string> ambient;   ///< what a user other than root has in every program
  /// What is in effect in the first program: root has all it may have, others what is ambient
  /// (capabilities(7), "Transformation of capabilities during execve").
  [[nodiscard]] const std::vector<std::string>& effective(std::uint32_t uid) const {
    return uid == 0 ? bounding : ambient;
  }
  bool operator==(const Capabilities&) const = default;
};

/// What the service may have: nothing under `hardened`, Podman's eleven under `compatible`, and
/// `cap_add`. What was added is ambient for a user other than root, as in Podman: without that it
/// would have been added in vain. Errors: runtime, naming an unknown capability and the nearest
/// known one.
[[nodiscard]] Result<Capabilities> capabilities(const proto::Security& security, std::uint32_t uid);

/// Bit mask as in /proc/PID/status for names with CAP_ prefix; unknown names count nothing.
[[nodiscard]] std::uint64_t capability_mask(const std::vector<std::string>& names);

}  // namespace holdfast::deploy::runtime
