#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>

namespace holdfast::os {

/// Bytes that the regular files at and below `path` take on the disk, of the first `most_entries`;
/// links are not followed, what goes away meanwhile or cannot be read counts nothing. Blocks.
[[nodiscard]] std::uint64_t tree_size(const std::filesystem::path& path, std::size_t most_entries);

}  // namespace holdfast::os
