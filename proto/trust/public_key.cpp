#include "proto/trust/public_key.hpp"

#include <array>
#include <span>

#include "common/base/base64.hpp"
#include "common/base/text.hpp"
#include "common/crypto/sha256.hpp"

namespace holdfast::proto::trust {
namespace {

using namespace std::string_view_literals;

// What comes before the key itself. Both encodings have a fixed length, so no DER is parsed.
constexpr auto kP256 =
    "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
    "\x03\x42\x00\x04"sv;
constexpr std::size_t kP256Point = 64;
constexpr auto kEd25519 = "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"sv;
constexpr std::size_t kEd25519Point = 32;

constexpr auto kBegin = "-----BEGIN PUBLIC KEY-----"sv;
constexpr auto kEnd = "-----END PUBLIC KEY-----"sv;
constexpr std::size_t kPemLine = 64;  // RFC 7468, 2

bool has_form(std::string_view spki, std::string_view prefix, std::size_t point) {
  return spki.size() == prefix.size() + point && spki.starts_with(prefix);
}

Error refused(const char* what) {
  return Error{Errc::usage, what}.hint(
      "a key that counts is ECDSA P-256 or Ed25519; `holdfast keygen` makes one");
}

}  // namespace

std::string_view to_string(KeyAlgorithm algorithm) {
  return algorithm == KeyAlgorithm::ed25519 ? "ed25519" : "ecdsa-p256";
}

PublicKey::PublicKey(KeyAlgorithm algorithm, std::string spki)
    : algorithm_(algorithm), spki_(std::move(spki)), id_(crypto::sha256_hex(spki_)) {}

Result<PublicKey> PublicKey::from_spki(std::string spki) {
  if (has_form(spki, kP256, kP256Point))
    return PublicKey{KeyAlgorithm::ecdsa_p256, std::move(spki)};
  if (has_form(spki, kEd25519, kEd25519Point))
    return PublicKey{KeyAlgorithm::ed25519, std::move(spki)};
  return refused("this is no ECDSA P-256 or Ed25519 public key");
}

Result<PublicKey> PublicKey::from_pem(std::string_view text) {
  text = trim(text);
  if (!text.starts_with(kBegin) || !text.ends_with(kEnd) ||
      text.size() < kBegin.size() + kEnd.size())
    return refused("this is no public key in PEM");
  text.remove_prefix(kBegin.size());
  text.remove_suffix(kEnd.size());
  std::string body;
  for (const auto line : split(text, '\n')) body += trim(line);
  auto spki = from_base64(body);
  if (!spki) return refused("the PEM text of the public key is not base64");
  return from_spki(std::move(spki).value());
}

std::string PublicKey::pem() const {
  const auto body = to_base64(std::as_bytes(std::span{spki_}));
  std::string text{kBegin};
  for (std::size_t at = 0; at < body.size(); at += kPemLine)
    text.append("\n").append(body.substr(at, kPemLine));
  return text.append("\n").append(kEnd).append("\n");
}

}  // namespace holdfast::proto::trust
