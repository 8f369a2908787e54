#pragma once
#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::deploy::fetch {

/// The word of memory that all fetching children of an agent share to keep together below a rate
/// (proto/worker/fetch.hpp, kFetchBandwidth). Errors: by errno.
[[nodiscard]] Result<os::UniqueFd> make_bandwidth_limit();

}  // namespace holdfast::deploy::fetch
