#pragma once
#include <cstdint>
#include <filesystem>
#include <stop_token>

#include "common/base/result.hpp"

namespace holdfast::deploy::network {

/// Resets the TCP connections that others opened to what listens in the namespace at `netns`, so
/// that each peer learns at once that nobody will answer (sock_diag(7), SOCK_DESTROY). Connections
/// that were opened from inside stay, and so do those that are opened after `spare` is requested.
/// Returns how many. About 0.5 ms; any thread. Errors: of entering the namespace; unsupported by a
/// kernel without CONFIG_INET_DIAG_DESTROY.
[[nodiscard]] Result<std::uint32_t> reset_accepted(const std::filesystem::path& netns,
                                                   const std::stop_token& spare = {});

}  // namespace holdfast::deploy::network
