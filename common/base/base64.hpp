#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

/// The bytes behind base64 text, of the standard or the URL-safe alphabet (RFC 4648, 4 and 5): with
/// padding, without white space, and with no bits set that belong to nothing, so that each value
/// has one text in each alphabet. None for any other text.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace holdfast
