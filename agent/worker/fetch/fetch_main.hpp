#pragma once

namespace holdfast::agent::worker::fetch {

/// `holdfast-fetch`: drops all privileges and serves FetchRequests from descriptor 3 until
/// it is closed (proto/worker/fetch.hpp). Returns the exit code.
[[nodiscard]] int fetch_main();

}  // namespace holdfast::agent::worker::fetch
