#pragma once
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace holdfast::agent::worker::unpack {

/// A numeric header field: octal digits between spaces and NULs, or GNU base-256 (first bit set).
/// Errors: layer_corrupt (`name` says which field).
[[nodiscard]] Result<std::int64_t> header_number(std::span<const std::byte> field,
                                                 std::string_view name);

/// Decimal, not negative. Errors: layer_corrupt.
[[nodiscard]] Result<std::uint64_t> decimal(std::string_view text, std::string_view name);

/// PAX time: "[-]seconds[.fraction]", digits beyond nanoseconds dropped. Errors: layer_corrupt.
[[nodiscard]] Result<timespec> pax_time(std::string_view text);

/// RFC 4648 with or without padding. Errors: layer_corrupt.
[[nodiscard]] Result<std::string> base64_decoded(std::string_view text);

}  // namespace holdfast::agent::worker::unpack
