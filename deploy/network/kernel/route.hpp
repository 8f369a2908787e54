#pragma once
#include "common/base/result.hpp"
#include "proto/config/agent_config.hpp"

namespace holdfast::deploy::network {

/// Makes every address of `subnet` an address of this host, as `ip route add local <subnet> dev lo
/// src 127.0.0.1` does: the host's own programs can then reach virtual addresses, which need no
/// default route. Reads first. Errors: by errno.
[[nodiscard]] Status ensure_local_route(const proto::Subnet& subnet);
/// True when the kernel delivers that subnet locally. Some 20 µs.
[[nodiscard]] Result<bool> has_local_route(const proto::Subnet& subnet);
/// Absent is success.
[[nodiscard]] Status remove_local_route(const proto::Subnet& subnet);

}  // namespace holdfast::deploy::network
