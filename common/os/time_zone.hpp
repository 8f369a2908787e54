#pragma once
#include <string_view>

#include "common/base/time_zone.hpp"

namespace holdfast::os {

/// The zone of this name ("UTC", "Europe/Berlin") from the host's zone files. "UTC" needs none.
/// Blocks; thread safe. Errors: not_found, usage when the file is none or the name leads elsewhere.
[[nodiscard]] Result<TimeZone> load_time_zone(std::string_view name);

}  // namespace holdfast::os
