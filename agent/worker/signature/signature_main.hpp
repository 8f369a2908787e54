#pragma once

namespace holdfast::agent::worker::signature {

/// Answers one question about signatures (proto/worker/signatures.hpp). Returns the exit code.
[[nodiscard]] int signature_main();

}  // namespace holdfast::agent::worker::signature
