#pragma once
#include <cstdint>
#include <filesystem>
#include <stop_token>

#include "common/base/result.hpp"
#include "deploy/network/kernel/piece_bounds.hpp"

namespace holdfast::deploy::network {

/// Resets the TCP connections that others opened to what listens in the namespace at `netns`, so
/// that each peer learns at once that nobody will answer (sock_diag(7), SOCK_DESTROY). Connections
/// that were opened from inside stay, and so do all that are left when `spare` is requested.
/// Returns how many. About 0.5 ms, 7 us a connection; any thread. Errors: of entering the
/// namespace; timed_out, when new ones come as fast as they are reset; unsupported by a kernel
/// without CONFIG_INET_DIAG_DESTROY.
[[nodiscard]] Result<std::uint32_t> reset_accepted(const std::filesystem::path& netns,
                                                   const std::stop_token& spare = {},
                                                   const PieceBounds& bounds = {});

}  // namespace holdfast::deploy::network
