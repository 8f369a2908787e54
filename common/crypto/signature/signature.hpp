#pragma once
/// \file
/// Making and checking signatures, by OpenSSL. Thread safe; blocks for a fraction of a millisecond.

#include <memory>
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace holdfast::crypto {

enum class SignatureAlgorithm : std::uint8_t {
  ecdsa_p256,  ///< with SHA-256; the signature is DER (RFC 3279, 2.2.3)
  ed25519,     ///< RFC 8032, over the message itself; 64 bytes
};

/// Whether `signature` is one of `message` by the key, given as SubjectPublicKeyInfo in DER. False
/// for whatever is malformed, and for keys of other algorithms.
[[nodiscard]] bool verify_signature(std::string_view spki, std::string_view message,
                                    std::string_view signature);

/// A key that signs. Never printed by anything but `pem`.
class PrivateKey {
 public:
  /// Errors: internal.
  [[nodiscard]] static Result<PrivateKey> generate(SignatureAlgorithm algorithm);
  /// PKCS#8, encrypted or not, or the older forms of `openssl`. Errors: usage (no key, another
  /// algorithm), auth (a passphrase is missing or wrong).
  [[nodiscard]] static Result<PrivateKey> read(std::string_view pem, std::string_view passphrase);

  [[nodiscard]] SignatureAlgorithm algorithm() const;
  /// PKCS#8; encrypted with AES-256-CBC where the passphrase is not empty. Errors: internal.
  [[nodiscard]] Result<std::string> pem(std::string_view passphrase) const;
  /// SubjectPublicKeyInfo in DER. Errors: internal.
  [[nodiscard]] Result<std::string> public_key() const;
  /// Errors: internal.
  [[nodiscard]] Result<std::string> sign(std::string_view message) const;

  PrivateKey(PrivateKey&&) noexcept;
  PrivateKey& operator=(PrivateKey&&) noexcept;
  ~PrivateKey();

 private:
  struct State;
  explicit PrivateKey(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace holdfast::crypto
