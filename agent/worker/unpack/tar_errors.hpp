#pragma once
#include <string>
#include <string_view>

#include "common/base/error.hpp"

namespace holdfast::agent::worker::unpack {

[[nodiscard]] Error corrupt(std::string what);

/// What two readers of one archive see differently: what was scanned must be what runs, and nobody
/// writes it honestly.
[[nodiscard]] Error ambiguous(std::string_view what);

}  // namespace holdfast::agent::worker::unpack
