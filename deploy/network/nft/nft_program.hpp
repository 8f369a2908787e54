#pragma once
#include <string>

#include "common/base/result.hpp"

namespace holdfast::deploy::network {

/// Loads text with the program `nft` in one transaction, within 10 s (it takes about 10 ms). It
/// belongs to the network namespace of the calling thread. Errors: cni, with the next step.
[[nodiscard]] Status run_nft(const std::string& text);

}  // namespace holdfast::deploy::network
