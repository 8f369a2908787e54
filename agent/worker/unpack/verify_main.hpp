#pragma once
#include <string_view>

namespace holdfast::agent::worker::unpack {

/// `holdfast-worker verify JOB`: hashes the unpacked layer at descriptor 3 again and reports to
/// descriptor 4 (proto/worker/unpack.hpp). Gives up what reading does not need first.
/// Returns the exit code.
[[nodiscard]] int verify_main(std::string_view job);

}  // namespace holdfast::agent::worker::unpack
