#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.hpp"

namespace holdfast::agent::worker::unpack {

/// A name of an archive as the path components below the layer's root: leading '/' stripped, "."
/// and empty components dropped, ".." resolved (packaging/doc/security.md 2.3, Normalise). Empty
/// for the root itself. Errors: layer_unsafe (".." leaves the root), layer_limit (component over
/// 255 bytes, more than 256 components).
[[nodiscard]] Result<std::vector<std::string>> components(std::string_view name);

/// "a/b" + "c" → "a/b/c"; "" + "c" → "c".
/// Levels below the root. Everything that walks a layer holds a descriptor for each.
inline constexpr std::size_t kMaxDepth = 256;

[[nodiscard]] std::string join(const std::string& directory, std::string_view name);

/// "a/b/c" → {"a/b", "c"}; "c" → {"", "c"}.
[[nodiscard]] std::pair<std::string, std::string> split_last(std::string_view path);

}  // namespace holdfast::agent::worker::unpack
