#pragma once
#include <string_view>
#include <vector>

#include "common/crypto/signature/signature.hpp"
#include "deploy/trust/signatures.hpp"
#include "proto/trust/envelope.hpp"

namespace holdfast::agent::cli {

/// Adds a signature; one that this key made before is replaced. Errors: too_large (no room for
/// another), internal.
[[nodiscard]] Status add_signature(proto::trust::Envelope& envelope, const crypto::PrivateKey& key);

/// Does the arithmetic in this process. Never fails.
[[nodiscard]] Result<std::vector<bool>> check_here(
    std::string_view message, const std::vector<deploy::trust::KeySignature>& claimed);

}  // namespace holdfast::agent::cli
