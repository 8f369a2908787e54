#pragma once
/// \file
/// The seccomp profile of a service: an allow-list, ENOSYS for the rest, masked comparison of every
/// int argument (packaging/doc/security.md 3.2, R-3.5).

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace holdfast::deploy::runtime {

/// One comparison of the low 32 bits of an argument: (argument & mask) == value.
struct MaskedArg {
  std::uint32_t index = 0;
  std::uint32_t mask = 0;
  std::uint32_t value = 0;
  bool operator==(const MaskedArg&) const = default;
};

struct SeccompRule {
  std::vector<std::string> names;
  std::optional<int> error;  ///< errno; none: allowed
  std::optional<MaskedArg> arg;
};

struct SeccompProfile {
  int default_error = 38;  ///< ENOSYS
  std::string architecture;
  std::vector<SeccompRule> rules;
};

/// The profile for a service with these capabilities (CAP_ prefix). Only the machine's own ABI is
/// allowed: 32-bit and x32 calls end the process, because their socketcall(2) hides its arguments
/// from the filter.
[[nodiscard]] SeccompProfile seccomp_profile(const std::vector<std::string>& capabilities);

/// Masked comparisons that together match exactly the 32-bit values not in `allowed` (sorted). The
/// filter compares 64 bits where the kernel looks at 32, so an unmasked "not equal" could be walked
/// around.
[[nodiscard]] std::vector<MaskedArg> all_but(std::uint32_t index,
                                             std::span<const std::uint32_t> allowed);

}  // namespace holdfast::deploy::runtime
