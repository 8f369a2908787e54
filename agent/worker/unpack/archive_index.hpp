#pragma once
/// \file
/// Finds the documents and layers of an OCI layout inside a tar file (image-spec image-layout.md):
/// what skopeo and buildah call oci-archive, and docker save writes since version 25.

#include <cstdint>
#include <map>
#include <string>

#include "common/base/result.hpp"

namespace holdfast::agent::worker::unpack {

/// Where something lies in the file.
struct Extent {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

struct ArchiveIndex {
  Extent layout;                        ///< index.json
  std::map<std::string, Extent> blobs;  ///< by the hex of what their name promises
};

/// Reads the headers of the whole file; names are looked at, never used as paths. Errors: usage (no
/// OCI layout, compressed as a whole), layer_unsafe (names that lead out, links, devices),
/// too_large (index.json), layer_limit (entries), layer_corrupt (form), by errno.
[[nodiscard]] Result<ArchiveIndex> index_archive(int fd);

}  // namespace holdfast::agent::worker::unpack
