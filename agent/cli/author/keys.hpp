#pragma once
#include <string>

#include "common/base/result.hpp"
#include "common/crypto/signature/signature.hpp"
#include "proto/trust/public_key.hpp"

namespace holdfast::agent::cli {

/// What a file holds on its first line; nothing for "". Errors: by errno, usage (it is empty).
[[nodiscard]] Result<std::string> read_passphrase(const std::string& file);

/// Errors: usage, auth (`PrivateKey::read`), by errno.
[[nodiscard]] Result<crypto::PrivateKey> read_private_key(const std::string& file,
                                                          const std::string& passphrase);
/// Errors: usage, by errno.
[[nodiscard]] Result<proto::trust::PublicKey> read_public_key(const std::string& file);
[[nodiscard]] Result<proto::trust::PublicKey> public_key_of(const crypto::PrivateKey& key);

/// Writes a file that must not be there yet, durably. Errors: conflict (it is there), by errno.
[[nodiscard]] Status write_new(const std::string& file, const std::string& text, unsigned mode);

}  // namespace holdfast::agent::cli
