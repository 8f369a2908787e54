#pragma once
#include <stop_token>
#include <string>

#include "deploy/trust/signatures.hpp"

namespace holdfast::deploy::desired {

/// Asks a confined child (`holdfast-fetch signatures`, beside the worker), one for each call.
/// Blocks for some 20 ms, at most 10 s. Errors of a call: io (no child), timed_out, cancelled.
[[nodiscard]] trust::CheckSignatures check_in_child(std::string worker_path, std::stop_token stop);

}  // namespace holdfast::deploy::desired
