#pragma once
/// \file
/// The system calls of a service. Names are separated by single spaces. Sources of the judgement:
/// the default profiles of Docker (moby/profiles) and Podman (containers/common), of both the
/// stricter; see README.md.

#include <array>
#include <string_view>

namespace holdfast::deploy::runtime {

extern const std::string_view kAllowedCalls;
extern const std::string_view kForbiddenCalls;
extern const std::string_view kArchitectureCalls;   ///< allowed on this machine's architecture only
extern const std::string_view kNativeArchitecture;  ///< libseccomp's name of it

/// Allowed with any capability that lists them, EPERM without.
struct CapabilityCalls {
  std::string_view capability;
  std::string_view calls;
};
extern const std::array<CapabilityCalls, 13> kCapabilityCalls;

}  // namespace holdfast::deploy::runtime
