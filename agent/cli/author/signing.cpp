#include "agent/cli/author/signing.hpp"

#include <fmt/format.h>

#include "agent/cli/author/keys.hpp"

namespace holdfast::agent::cli {

Status add_signature(proto::trust::Envelope& envelope, const crypto::PrivateKey& key) {
  HF_ASSIGN(const auto signer, public_key_of(key));
  std::erase_if(envelope.signatures,
                [&](const auto& signature) { return signature.key_id == signer.id(); });
  if (envelope.signatures.size() == proto::trust::kMostSignatures)
    return Error{Errc::too_large,
                 fmt::format("the envelope has {} signatures already", envelope.signatures.size())};
  HF_ASSIGN(auto bytes, key.sign(proto::trust::pae(envelope.payload_type, envelope.payload)));
  envelope.signatures.push_back({signer.id(), std::move(bytes)});
  return ok();
}

Result<std::vector<bool>> check_here(std::string_view message,
                                     const std::vector<deploy::trust::KeySignature>& claimed) {
  std::vector<bool> valid;
  for (const auto& [key, signature] : claimed)
    valid.push_back(crypto::verify_signature(key.spki(), message, signature));
  return valid;
}

}  // namespace holdfast::agent::cli
