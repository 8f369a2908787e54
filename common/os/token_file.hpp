#pragma once
/// \file
/// A secret word in a file, as it goes into `Authorization: Bearer` (RFC 6750).

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace holdfast::os {

/// The one word that the file holds; blanks and line ends around it do not count. At most 16 KiB.
/// Errors: by errno, too_large, auth (no word, or more than one). Blocks; thread safe.
[[nodiscard]] Result<std::string> read_token(const std::filesystem::path& file);
/// The same of a text that was read.
[[nodiscard]] Result<std::string> token_of(std::string_view text,
                                           const std::filesystem::path& file);

inline constexpr std::size_t kMostTokenBytes = 16U << 10;

}  // namespace holdfast::os
