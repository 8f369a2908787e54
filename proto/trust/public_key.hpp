#pragma once
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace holdfast::proto::trust {

enum class KeyAlgorithm : std::uint8_t { ecdsa_p256, ed25519 };
/// "ecdsa-p256", "ed25519".
[[nodiscard]] std::string_view to_string(KeyAlgorithm algorithm);

/// A key that checks signatures. One key has one encoding, so keys are compared by their bytes.
class PublicKey {
 public:
  /// A SubjectPublicKeyInfo (RFC 5280, 4.1.2.7) in DER: Ed25519 (RFC 8410), or an uncompressed
  /// point of P-256 (RFC 5480). Errors: usage (anything else).
  [[nodiscard]] static Result<PublicKey> from_spki(std::string spki);
  /// The same in PEM, one block of "PUBLIC KEY" with nothing but white space around it. Errors:
  /// usage.
  [[nodiscard]] static Result<PublicKey> from_pem(std::string_view text);

  [[nodiscard]] KeyAlgorithm algorithm() const noexcept { return algorithm_; }
  [[nodiscard]] const std::string& spki() const noexcept { return spki_; }
  /// sha256 of `spki`, 64 hex digits: `openssl pkey -pubin -outform DER | sha256sum`.
  [[nodiscard]] const std::string& id() const noexcept { return id_; }
  /// First 12 digits of the id, for people.
  [[nodiscard]] std::string short_id() const { return id_.substr(0, 12); }
  [[nodiscard]] std::string pem() const;

  bool operator==(const PublicKey& other) const { return spki_ == other.spki_; }
  auto operator<=>(const PublicKey& other) const { return spki_ <=> other.spki_; }

 private:
  PublicKey(KeyAlgorithm algorithm, std::string spki);
  KeyAlgorithm algorithm_;
  std::string spki_;
  std::string id_;
};

}  // namespace holdfast::proto::trust
