#pragma once
#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace holdfast::crypto {

using Sha256Sum = std::array<std::byte, 32>;

/// Incremental SHA-256 (FIPS 180-4), by nettle, which uses the CPU's SHA instructions where there
/// are any. Movable, not thread safe. May be used again after `finish`, which resets it.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();

  void update(std::span<const std::byte> data);
  void update(std::string_view data) { update(std::as_bytes(std::span{data})); }
  [[nodiscard]] Sha256Sum finish();
  /// `finish` as 64 lower-case hex digits.
  [[nodiscard]] std::string finish_hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

[[nodiscard]] std::string sha256_hex(std::string_view data);

}  // namespace holdfast::crypto
