#pragma once
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace holdfast::deploy::network {

/// Value of a kernel parameter by its path below /proc/sys, e.g. "net/ipv4/ip_forward", as the
/// calling thread's network namespace sees it. Errors: by errno.
[[nodiscard]] Result<std::string> read_sysctl(std::string_view name);

/// Reads first and writes only what differs, so that a read-only /proc/sys with the right value is
/// fine. Errors: by errno, naming the parameter and the command that sets it.
[[nodiscard]] Status ensure_sysctl(std::string_view name, std::string_view value);

}  // namespace holdfast::deploy::network
