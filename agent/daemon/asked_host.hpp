#pragma once
#include <span>
#include <string>
#include <string_view>

namespace holdfast::agent::daemon {

/// Whether the field Host of a request names this host: an address does, and one of `names`, with
/// or without a port (RFC 9110, 7.2). A browser that another name led here asks in that name, so
/// that no page reads answers of hosts behind it (DNS rebinding). Pure.
[[nodiscard]] bool is_asked_for(std::string_view host, std::span<const std::string> names);

}  // namespace holdfast::agent::daemon
