#include "common/crypto/signature/signature.hpp"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

namespace holdfast::crypto {

template <auto kFree>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<&EVP_PKEY_free>>;

struct PrivateKey::State {
  Key key;
  SignatureAlgorithm algorithm;
};

namespace {

using DigestContext = std::unique_ptr<EVP_MD_CTX, Freed<&EVP_MD_CTX_free>>;
using Bio = std::unique_ptr<BIO, Freed<&BIO_free_all>>;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::optional<SignatureAlgorithm> algorithm_of(const EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "ED25519") == 1) return SignatureAlgorithm::ed25519;
  if (EVP_PKEY_is_a(key, "EC") != 1) return std::nullopt;
  std::array<char, 32> group{};
  if (EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) != 1) return std::nullopt;
  if (std::string_view{group.data()} != "prime256v1") return std::nullopt;
  return SignatureAlgorithm::ecdsa_p256;
}

/// Ed25519 hashes by itself.
const EVP_MD* digest_of(SignatureAlgorithm algorithm) {
  return algorithm == SignatureAlgorithm::ed25519 ? nullptr : EVP_sha256();
}

Key read_public_key(std::string_view spki) {
  const auto* at = bytes_of(spki);
  Key key{d2i_PUBKEY(nullptr, &at, static_cast<long>(spki.size()))};
  if (key && at != bytes_of(spki) + spki.size()) key.reset();  // something comes after it
  return key;
}

/// For PEM_read_bio_PrivateKey; never asks on a terminal.
int give_passphrase(char* buffer, int size, int, void* user) {
  const auto& passphrase = *static_cast<const std::string_view*>(user);
  if (passphrase.empty() || passphrase.size() > static_cast<std::size_t>(size)) return -1;
  std::memcpy(buffer, passphrase.data(), passphrase.size());
  return static_cast<int>(passphrase.size());
}

Error failed(const char* doing) {
  return Error{Errc::internal, std::string{"OpenSSL cannot "} + doing};
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string{data, static_cast<std::size_t>(size)} : std::string{};
}

}  // namespace

bool verify_signature(std::string_view spki, std::string_view message, std::string_view signature) {
  const auto key = read_public_key(spki);
  const auto algorithm = key ? algorithm_of(key.get()) : std::nullopt;
  if (!algorithm) return false;
  const DigestContext context{EVP_MD_CTX_new()};
  if (!context ||
      EVP_DigestVerifyInit(context.get(), nullptr, digest_of(*algorithm), nullptr, key.get()) != 1)
    return false;
  return EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(message),
                          message.size()) == 1;
}

PrivateKey::PrivateKey(std::unique_ptr<State> state) : state_(std::move(state)) {}
PrivateKey::PrivateKey(PrivateKey&&) noexcept = default;
PrivateKey& PrivateKey::operator=(PrivateKey&&) noexcept = default;
PrivateKey::~PrivateKey() = default;

Result<PrivateKey> PrivateKey::generate(SignatureAlgorithm algorithm) {
  Key key{algorithm == SignatureAlgorithm::ed25519
              ? EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")
              : EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256")};
  if (!key) return failed("make a key");
  return PrivateKey{std::make_unique<State>(State{std::move(key), algorithm})};
}

Result<PrivateKey> PrivateKey::read(std::string_view pem, std::string_view passphrase) {
  const Bio bio{BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))};
  if (!bio) return failed("read a key");
  Key key{PEM_read_bio_PrivateKey(bio.get(), nullptr, &give_passphrase, &passphrase)};
  if (!key && pem.find("ENCRYPTED") != std::string_view::npos) {
    if (pem.find("SIGSTORE") != std::string_view::npos)
      return Error{Errc::usage, "this is a private key in cosign's own format"}.hint(
          "make one with `holdfast keygen`, or use a PKCS#8 key");
    return Error{Errc::auth, passphrase.empty() ? "the private key is encrypted"
                                                : "the passphrase does not open the private key"}
        .hint("name a file that holds its passphrase: --passphrase-file");
  }
  if (!key)
    return Error{Errc::usage, "this is no private key in PEM"}.hint(
        "make one with `holdfast keygen`");
  const auto algorithm = algorithm_of(key.get());
  if (!algorithm)
    return Error{Errc::usage, "the private key is neither ECDSA P-256 nor Ed25519"}.hint(
        "make one with `holdfast keygen`");
  return PrivateKey{std::make_unique<State>(State{std::move(key), *algorithm})};
}

SignatureAlgorithm PrivateKey::algorithm() const { return state_->algorithm; }

Result<std::string> PrivateKey::pem(std::string_view passphrase) const {
  const Bio bio{BIO_new(BIO_s_mem())};
  const bool encrypted = !passphrase.empty();
  if (!bio || PEM_write_bio_PKCS8PrivateKey(
                  bio.get(), state_->key.get(), encrypted ? EVP_aes_256_cbc() : nullptr,
                  passphrase.data(), static_cast<int>(passphrase.size()), nullptr, nullptr) != 1)
    return failed("write a private key");
  return text_of(bio.get());
}

Result<std::string> PrivateKey::public_key() const {
  const Bio bio{BIO_new(BIO_s_mem())};
  if (!bio || i2d_PUBKEY_bio(bio.get(), state_->key.get()) != 1)
    return failed("write a public key");
  return text_of(bio.get());
}

Result<std::string> PrivateKey::sign(std::string_view message) const {
  const DigestContext context{EVP_MD_CTX_new()};
  if (!context || EVP_DigestSignInit(context.get(), nullptr, digest_of(state_->algorithm), nullptr,
                                     state_->key.get()) != 1)
    return failed("sign");
  std::size_t size = 0;
  const auto* data = bytes_of(message);
  if (EVP_DigestSign(context.get(), nullptr, &size, data, message.size()) != 1)
    return failed("sign");
  std::string signature(size, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, data,
                     message.size()) != 1)
    return failed("sign");
  signature.resize(size);
  return signature;
}

}  // namespace holdfast::crypto
