#pragma once
#include <string_view>

namespace holdfast::agent::worker::unpack {

/// `holdfast-worker unpack JOB`: confines itself, unpacks one layer from descriptor 0 into
/// descriptor 3, reports on descriptor 4 (proto/worker/unpack.hpp). Returns the exit code.
[[nodiscard]] int unpack_main(std::string_view room);

}  // namespace holdfast::agent::worker::unpack
