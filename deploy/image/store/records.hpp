#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"
#include "proto/digest.hpp"

namespace holdfast::deploy::image {

/// What is known of an unpacked layer; layers/<key>/meta.json.
struct LayerMeta {
  std::string diff_id;      ///< hex; empty for a synthetic top
  std::string blob;         ///< hex of the compressed bytes it came from
  std::uint64_t size = 0;   ///< of those
  std::uint64_t bytes = 0;  ///< of the tar
  std::uint64_t entries = 0;
  std::vector<std::string>
      implicit_directories;  ///< made without an entry: lower layers say how they look
  std::vector<std::string> whiteout_parents;  ///< directories that hold a whiteout
  std::string tree;  ///< hex of what is on disk (tree_digest.hpp); empty: an older agent made it
};

/// An image that is whole; images/<pinned hex>.json, written last.
struct ImageRecord {
  proto::Digest pinned;
  proto::Digest manifest;
  proto::Digest config;
  std::vector<std::string> layers;  ///< keys, lowest first, the synthetic top last
  std::uint64_t bytes = 0;          ///< unpacked, all layers
  std::uint64_t compressed = 0;     ///< the same as they come; 0: an older agent pulled it
  std::uint64_t hidden = 0;  ///< layers from the lowest up that a later one hides at its root
  std::string reference;     ///< by which it came; empty: from an archive without names
};

[[nodiscard]] std::string encode(const LayerMeta& meta);
/// Errors: layer_corrupt.
[[nodiscard]] Result<LayerMeta> decode_layer_meta(std::string_view text);
[[nodiscard]] std::string encode(const ImageRecord& record);
/// Errors: layer_corrupt.
[[nodiscard]] Result<ImageRecord> decode_image_record(std::string_view text);

}  // namespace holdfast::deploy::image
