#pragma once
#include <compare>
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace holdfast::proto {

/// A content address: `sha256:` and 64 lower-case hex digits (image-spec descriptor.md, Digests).
/// Always valid, so it may be used in paths, URLs and SQL (packaging/doc/security.md ). Other
/// registered algorithms are refused by name.
class Digest {
 public:
  /// Errors: digest_unsupported (algorithm), ref_invalid (form).
  [[nodiscard]] static Result<Digest> parse(std::string_view text);
  /// Of these bytes.
  [[nodiscard]] static Digest of(std::string_view bytes);
  /// From 64 lower-case hex digits already known to be good; aborts when they are not.
  [[nodiscard]] static Digest from_hex(std::string_view hex);

  [[nodiscard]] const std::string& hex() const noexcept { return hex_; }
  [[nodiscard]] std::string str() const { return "sha256:" + hex_; }
  /// First 12 hex digits, for people.
  [[nodiscard]] std::string short_hex() const { return hex_.substr(0, 12); }
  auto operator<=>(const Digest&) const = default;

 private:
  explicit Digest(std::string hex) : hex_(std::move(hex)) {}
  std::string hex_;
};

}  // namespace holdfast::proto
