#pragma once
/// \file
/// How many different keys signed.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"
#include "proto/trust/envelope.hpp"
#include "proto/trust/root.hpp"

namespace holdfast::deploy::trust {

/// A key, and a signature that may be its.
struct KeySignature {
  proto::trust::PublicKey key;
  std::string signature;
};

/// Which of the signatures are of `message` by their keys, in the order in which they were asked
/// for. Errors: those of whoever does the arithmetic; never for a bad signature.
using CheckSignatures = std::function<Result<std::vector<bool>>(
    std::string_view message, const std::vector<KeySignature>& claimed)>;

/// Those of `keys`, each once, that signed the envelope's type and payload. Errors: those of
/// `check`.
[[nodiscard]] Result<std::vector<proto::trust::PublicKey>> good_keys(
    const proto::trust::Envelope& envelope, const std::vector<proto::trust::PublicKey>& keys,
    const CheckSignatures& check);

/// Whether enough of the role's keys are among `good`. `what` names the document and the role.
/// Errors: spec_threshold.
[[nodiscard]] Status meets_threshold(const proto::trust::RoleKeys& role,
                                     const std::vector<proto::trust::PublicKey>& good,
                                     std::string_view what);

}  // namespace holdfast::deploy::trust
