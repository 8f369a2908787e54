#pragma once

namespace holdfast::agent::worker::unpack {

/// `holdfast-worker archive`: serves FetchRequests from descriptor 3 out of the OCI layout archive
/// at descriptor 4, as `holdfast-fetch` does from a registry (proto/worker/fetch.hpp).
/// Gives up everything but reading that file first. Returns the exit code.
[[nodiscard]] int archive_main();

}  // namespace holdfast::agent::worker::unpack
