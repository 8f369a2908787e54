#pragma once
/// \file
/// Percent coding and the parts of a URL (RFC 3986), by Boost.URL. Pure; thread safe.

#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace holdfast::url {

/// What `encode` leaves as it is.
enum class Plain {
  unreserved,             ///< letters, digits and "-._~" (RFC 3986, 2.3): any text as one component
  printable,              ///< 0x21 to 0x7E: a target that is encoded already, made one line
  printable_but_percent,  ///< the same without '%': bytes as text that decodes to them again
};
enum class Digits { upper, lower };

/// Every other byte becomes %XX.
[[nodiscard]] std::string encode(std::string_view text, Plain plain = Plain::unreserved,
                                 Digits digits = Digits::upper);

/// What a '+' stands for: itself, or a blank as in the query of a form.
enum class Plus { as_is, blank };

/// Errors: usage (a '%' without two hexadecimal digits, NUL).
[[nodiscard]] Result<std::string> decode(std::string_view text, Plus plus = Plus::as_is);

/// As libarchive's reader does it: a '%' without two hexadecimal digits stands for itself.
[[nodiscard]] std::string decode_leniently(std::string_view text);

/// The parts of "https://user:password@mirror.example:5000/v2/proxy".
struct Parts {
  std::string scheme;     ///< as it is written: "https"
  std::string authority;  ///< host and port, without a user: "mirror.example:5000"
  std::string host;       ///< decoded; of an IPv6 address without its brackets
  std::string path;       ///< still encoded: "/v2/proxy", or empty
  bool has_user = false;
  bool has_query_or_fragment = false;
};

/// Nothing when this is not an absolute URL with a host (RFC 3986, 3).
[[nodiscard]] std::optional<Parts> parts_of(std::string_view url);

}  // namespace holdfast::url
