#include "proto/digest.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/text.hpp"
#include "common/crypto/sha256.hpp"

namespace holdfast::proto {
namespace {

constexpr std::size_t kHexDigits = 64;
constexpr std::size_t kShown = 160;  ///< characters of a bad digest that a message repeats

bool is_hex(std::string_view text) {
  return text.size() == kHexDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

bool is_algorithm(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '.' || c == '_' ||
           c == '-';
  });
}

}  // namespace

Result<Digest> Digest::parse(std::string_view text) {
  const auto shown = printable(text.substr(0, kShown));
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || !is_algorithm(text.substr(0, colon))) {
    return Error{Errc::ref_invalid, fmt::format("\"{}\" is not a digest", shown)}.hint(
        "write sha256: and 64 lower-case hex digits");
  }
  const auto algorithm = text.substr(0, colon);
  if (algorithm != "sha256") {
    return Error{Errc::digest_unsupported, fmt::format("digest algorithm \"{}\" is not supported",
                                                       algorithm.substr(0, kShown))}
        .hint("pin by the sha256 digest");
  }
  const auto hex = text.substr(colon + 1);
  if (!is_hex(hex)) {
    return Error{Errc::ref_invalid,
                 fmt::format("\"{}\" is not a sha256 digest ({} characters after the colon)", shown,
                             hex.size())}
        .hint("write sha256: and 64 lower-case hex digits");
  }
  return Digest{std::string{hex}};
}

Digest Digest::of(std::string_view bytes) { return Digest{crypto::sha256_hex(bytes)}; }

Digest Digest::from_hex(std::string_view hex) {
  if (!is_hex(hex)) detail::bad_result_access("Digest::from_hex of something else");
  return Digest{std::string{hex}};
}

}  // namespace holdfast::proto
