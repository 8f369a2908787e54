#pragma once
#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <string>

#include "common/base/result.hpp"

namespace holdfast::deploy::image {

/// A 64-bit sum over the content of a regular file, given by its directory, name and attributes.
using ContentSum =
    std::function<Result<std::uint64_t>(int directory, const char* name, const struct ::stat&)>;

/// Digest of an unpacked layer as it lies on disk: of every entry below `root` its name, kind,
/// mode, owner, size, time, device, link target, extended attributes and the sum of its content, in
/// the order of the names. Symlinks are not followed. SHA-256 in hex. Errors: by errno, and those
/// of `content`.
[[nodiscard]] Result<std::string> tree_digest(const std::string& root, const ContentSum& content);

}  // namespace holdfast::deploy::image
