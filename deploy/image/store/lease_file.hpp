#pragma once
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "deploy/image/store/paths.hpp"
#include "proto/digest.hpp"

namespace holdfast::deploy::image {

/// A request to keep an image for a time although no generation needs it;
/// leases/<pinned hex>.json.
struct KeptLease {
  proto::Digest image;
  WallTime until;
  std::string by;  ///< "root (uid 0)"
};

/// Writes it, in place of an earlier one, unless that one lasts longer. Durable. Errors: by errno.
[[nodiscard]] Status write_lease(const Paths& paths, const KeptLease& lease);
/// None when there is none or it cannot be read.
[[nodiscard]] std::optional<KeptLease> read_lease(const Paths& paths, const proto::Digest& image);
/// All that are there, ended ones too. What cannot be read is left out. Errors: by errno.
[[nodiscard]] Result<std::vector<KeptLease>> read_leases(const Paths& paths);

}  // namespace holdfast::deploy::image
