#pragma once
/// \file
/// One limit of bandwidth for all fetching children of a store: a word of shared memory that says
/// until when the line is taken. A child that lies about it gains bandwidth or slows
/// pulls down, nothing else.

#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::deploy::image {

/// Bytes of the shared memory.
inline constexpr int kPaceBytes = 8;

/// Makes it. Errors: by errno.
[[nodiscard]] Result<os::UniqueFd> make_pace();

}  // namespace holdfast::deploy::image
