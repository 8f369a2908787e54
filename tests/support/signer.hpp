#pragma once
/// \file
/// Keys that sign for tests, and who checks what they signed: both real.

#include <span>
#include <string>
#include <vector>

#include "common/crypto/signature/signature.hpp"
#include "deploy/trust/signatures.hpp"
#include "proto/trust/envelope.hpp"
#include "proto/trust/root.hpp"

namespace holdfast::test {

class Signer {
 public:
  explicit Signer(crypto::SignatureAlgorithm algorithm = crypto::SignatureAlgorithm::ed25519)
      : private_(*crypto::PrivateKey::generate(algorithm)),
        public_(*proto::trust::PublicKey::from_spki(*private_.public_key())) {}

  [[nodiscard]] const proto::trust::PublicKey& key() const { return public_; }
  [[nodiscard]] proto::trust::Signature sign(std::string_view type,
                                             std::string_view payload) const {
    return {key().id(), *private_.sign(proto::trust::pae(type, payload))};
  }

 private:
  crypto::PrivateKey private_;
  proto::trust::PublicKey public_;
};

/// An envelope by these, as text.
[[nodiscard]] inline std::string signed_by(const std::vector<const Signer*>& signers,
                                           std::string_view type, std::string payload) {
  proto::trust::Envelope envelope{std::string{type}, std::move(payload), {}};
  for (const auto* signer : signers)
    envelope.signatures.push_back(signer->sign(type, envelope.payload));
  return proto::trust::write_envelope(envelope);
}

[[nodiscard]] inline Result<std::vector<bool>> check_signatures(
    std::string_view message, const std::vector<deploy::trust::KeySignature>& claimed) {
  std::vector<bool> valid;
  for (const auto& [key, signature] : claimed)
    valid.push_back(crypto::verify_signature(key.spki(), message, signature));
  return valid;
}

}  // namespace holdfast::test
