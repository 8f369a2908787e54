#pragma once
/// \file
/// Strict JSON for everything under proto/: Boost.JSON with what it leaves open decided
/// (packaging/doc/security.md ). For .cpp files, which include <boost/json.hpp> themselves.

#include <cstddef>
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace boost::json {
class value;
class object;
}  // namespace boost::json

namespace holdfast::proto::json {

inline constexpr std::size_t kMaxDepth = 64;

/// Parses one JSON value of UTF-8 text: nesting ≤ 64, no duplicate keys, nothing after it.
/// Errors: `failure` with the byte position.
[[nodiscard]] Result<boost::json::value> parse(std::string_view text, Errc failure);

/// Canonical text: keys sorted by byte order, no white space, strings escaped in one way only.
/// Equal values give equal bytes.
[[nodiscard]] std::string canonical(const boost::json::value& value);

}  // namespace holdfast::proto::json
