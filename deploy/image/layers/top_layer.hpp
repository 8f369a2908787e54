#pragma once
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "deploy/image/layers/merged_view.hpp"

namespace holdfast::deploy::image {

/// Builds the synthetic top layer of an image in the empty directory `tree`
/// (packaging/doc/design.md 5): attributes of directories that upper layers made without saying how
/// they look, directories that make lone whiteouts invisible (overlayfs hides them only where it
/// merges), and the mount points that a read-only root needs. `whiteout_parents`: of all layers.
/// Errors: by errno, layer_unsafe.
[[nodiscard]] Status build_top_layer(MergedView& stack,
                                     const std::vector<std::set<std::string>>& whiteout_parents,
                                     const std::filesystem::path& tree);

}  // namespace holdfast::deploy::image
