#pragma once
/// \file
/// Paths inside a container's root, from the outside. Symlinks are resolved as the container would;
/// nothing leads out.

#include <sys/types.h>

#include <string>
#include <string_view>

#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::deploy::runtime {

/// openat2(2) below `root` with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS and O_CLOEXEC. Errors: by
/// errno, not_found among them.
[[nodiscard]] Result<os::UniqueFd> open_in_root(int root, std::string_view path, int flags,
                                                mode_t mode = 0);

/// The real path of `path` inside `root`, absolute, with every symlink followed in-root; from the
/// first component that does not exist on, the rest is taken literally. Errors: runtime (more than
/// 40 links, path that leaves by ".." is clamped).
[[nodiscard]] Result<std::string> resolve_in_root(int root, std::string_view path);

/// Absolute, without ".", "..", double or trailing slashes.
[[nodiscard]] std::string clean_path(std::string_view path);

/// True when `path` is `parent` or below it; both clean.
[[nodiscard]] bool is_within(std::string_view path, std::string_view parent);

}  // namespace holdfast::deploy::runtime
