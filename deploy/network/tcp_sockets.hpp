#pragma once
#include <cstdint>
#include <filesystem>

#include "common/base/result.hpp"

namespace holdfast::deploy::network {

/// Resets the TCP connections that others opened to what listens in the namespace at `netns`, so
/// that each peer learns at once that nobody will answer (sock_diag(7), SOCK_DESTROY). Connections
/// that were opened from inside stay. Returns how many. About 0.5 ms; any thread. Errors: of
/// entering the namespace; unsupported by a kernel without CONFIG_INET_DIAG_DESTROY.
[[nodiscard]] Result<std::uint32_t> reset_accepted(const std::filesystem::path& netns);

}  // namespace holdfast::deploy::network
