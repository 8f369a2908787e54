#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>

namespace holdfast::deploy::image {

/// What the image store takes on the disk, in bytes.
struct StoreUsage {
  std::uint64_t layers = 0;    ///< unpacked, as their records have it: trees are not walked
  std::uint64_t blobs = 0;     ///< manifests, configs, and compressed layers that are kept
  std::uint64_t partials = 0;  ///< downloads that broke off
};

/// Looks at `most_entries` layers, blobs and partials at most. Reads a small file for each layer;
/// blocks. What cannot be read counts nothing.
[[nodiscard]] StoreUsage store_usage(const std::filesystem::path& state_dir,
                                     std::size_t most_entries);

}  // namespace holdfast::deploy::image
