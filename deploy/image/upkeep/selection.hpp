#pragma once
#include <set>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "deploy/image/port/image_maintenance.hpp"
#include "proto/digest.hpp"

namespace holdfast::deploy::image {

/// The images that somebody means: each name is a reference, a digest, or at least the first six
/// digits of one. No names: none. Errors: not_found, conflict (a name fits several).
[[nodiscard]] Result<std::set<proto::Digest>> select_images(const std::vector<std::string>& names,
                                                            const std::vector<ImageInfo>& all);

/// Those of `all` that are damaged, and in `wanted` if that is not empty.
[[nodiscard]] std::vector<ImageInfo> damaged_of(const std::vector<ImageInfo>& all,
                                                const std::set<proto::Digest>& wanted);

/// Until when an image stays that no generation needs yet: `until` (RFC 3339), or 24 hours as with
/// containerd where it is empty. Errors: usage (form, or in the past).
[[nodiscard]] Result<WallTime> lease_end(const std::string& until, WallTime now);

}  // namespace holdfast::deploy::image
