#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace holdfast {

/// What the walker finds at `path`, a real path relative to the root without leading or double
/// slashes: the text of a symlink, or nothing for whatever else is there or is not.
using LinkAt = std::function<Result<std::optional<std::string>>(const std::string& path)>;

/// Where `path` leads inside a root: every symlink followed as if the root were "/", ".." held at
/// the root. `link_at` is asked for each component in turn, from the root down, and may make what
/// is missing. The result is as its argument; "" is the root. Symlinks of the file system itself
/// are not seen: that `link_at` follows none is its own affair. Errors: `loop` after 40 symlinks,
/// as the kernel (path_resolution(7)); those of `link_at`.
[[nodiscard]] Result<std::string> walk_in_root(std::string_view path, const LinkAt& link_at,
                                               Errc loop);

}  // namespace holdfast
