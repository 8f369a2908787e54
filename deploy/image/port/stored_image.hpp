#pragma once
#include <filesystem>
#include <vector>

#include "common/base/strong.hpp"
#include "proto/digest.hpp"
#include "proto/oci/oci.hpp"

namespace holdfast::deploy::image {

/// An image that is whole on this disk: every byte was checked against its digest before it became
/// visible.
struct StoredImage {
  proto::Digest pinned;    ///< what the document names: an index or a manifest
  proto::Digest manifest;  ///< the platform's manifest; equal to `pinned` when that is one
  proto::oci::ImageConfig config;
  std::vector<std::filesystem::path>
      lowers;  ///< unpacked trees that show, lowest first; the last is the image's synthetic top
  Bytes unpacked_size{0};
  Bytes compressed_size{0};  ///< of its layers, by its manifest; 0: an older agent pulled it
};

}  // namespace holdfast::deploy::image
