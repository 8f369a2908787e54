#include "common/crypto/sha256.hpp"

#include <nettle/sha2.h>

#include "common/base/text.hpp"

namespace holdfast::crypto {

struct Sha256::State {
  sha256_ctx context;
};

Sha256::Sha256() : state_(std::make_unique<State>()) { sha256_init(&state_->context); }
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::byte> data) {
  sha256_update(&state_->context, data.size(), reinterpret_cast<const std::uint8_t*>(data.data()));
}

Sha256Sum Sha256::finish() {
  Sha256Sum sum;
  sha256_digest(&state_->context, sum.size(), reinterpret_cast<std::uint8_t*>(sum.data()));
  return sum;
}

std::string Sha256::finish_hex() { return to_hex(finish()); }

std::string sha256_hex(std::string_view data) {
  Sha256 hash;
  hash.update(data);
  return hash.finish_hex();
}

}  // namespace holdfast::crypto
