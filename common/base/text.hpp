#pragma once
/// \file
/// Small text tools: printing untrusted text, near misses, encodings, human units.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"
#include "common/base/strong.hpp"

namespace holdfast {

/// Makes text from images, documents and registries safe to print: C0, DEL, C1, bidi controls and
/// invalid UTF-8 become
/// `\xNN` / `\u{NNNN}`. `\n` and `\t` too, so a value stays on one line (packaging/doc/security.md
/// T-44, T-45).
[[nodiscard]] std::string printable(std::string_view text);

/// `text` with every byte that is not part of well-formed UTF-8 replaced by U+FFFD, for JSON and
/// other places that must hold UTF-8. Well-formed text is returned as it is.
[[nodiscard]] std::string well_formed(std::string_view text);

/// The candidate nearest to `word` by edit distance, or empty when none is within max(1, |word| /
/// 3), capped at 3.
[[nodiscard]] std::string_view nearest(std::string_view word,
                                       std::span<const std::string_view> candidates);

[[nodiscard]] std::string to_hex(std::span<const std::byte> bytes);
[[nodiscard]] std::string to_base64(std::span<const std::byte> bytes);

/// "7.4 MiB", "512 B": binary units, one decimal.
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);
/// "850ms", "12s", "3m20s", "5h12m", "12d": at most two units.
[[nodiscard]] std::string human_duration(std::chrono::nanoseconds duration);

[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);
[[nodiscard]] std::string_view trim(std::string_view text);

/// Whole decimal number; nothing else around it. Errors: Errc::usage.
[[nodiscard]] Result<std::uint64_t> parse_number(std::string_view text);

}  // namespace holdfast
