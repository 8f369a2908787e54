#pragma once
/// \file
/// DSSE (Dead Simple Signing Envelope, v1): bytes, what they are, and signatures over both.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"

namespace holdfast::proto::trust {

inline constexpr std::string_view kDeploymentType =
    "application/vnd.holdfast.deployment.v1+yaml";  ///< the payload is the YAML document
inline constexpr std::string_view kRootType =
    "application/vnd.holdfast.root.v1+json";  ///< the payload is a root of trust (root.hpp)

inline constexpr std::size_t kMostPayloadBytes = 1U << 20;
inline constexpr std::size_t kMostEnvelopeBytes = 2U << 20;  ///< base64 takes a third more
inline constexpr std::size_t kMostSignatures = 32;
inline constexpr std::size_t kMostSignatureBytes = 256;

struct Signature {
  std::string key_id;  ///< a hint; empty: not said
  std::string bytes;
  bool operator==(const Signature&) const = default;
};

struct Envelope {
  std::string payload_type;
  std::string payload;  ///< as decoded
  std::vector<Signature> signatures;
  bool operator==(const Envelope&) const = default;
};

/// Strict: the three members, each once, nothing else; base64 of either alphabet. Errors:
/// too_large, sig_invalid (form), sig_missing (an envelope without a signature, or a plain document
/// where an envelope belongs).
[[nodiscard]] Result<Envelope> read_envelope(std::string_view text);
/// One JSON object, ending with a line end. `read_envelope` gives it back.
[[nodiscard]] std::string write_envelope(const Envelope& envelope);

/// The bytes that are signed, "DSSEv1 SP len(type) SP type SP len(payload) SP payload".
[[nodiscard]] std::string pae(std::string_view payload_type, std::string_view payload);

}  // namespace holdfast::proto::trust
