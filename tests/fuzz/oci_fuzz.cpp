#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proto/oci/oci.hpp"

/// Manifests, indexes and configurations as a registry may send them, and what an archive lists.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast::proto::oci;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  if (const auto document = parse_manifest(text, "", "")) {
    if (const auto* index = std::get_if<Index>(&*document)) {
      (void)choose(*index, host_platform());
      (void)choose(*index, {"linux", "arm", "v7"});
    } else {
      const auto& manifest = std::get<Manifest>(*document);
      if (manifest.layers.empty() || manifest.layers.size() > kMaxLayers) std::abort();
      (void)manifest.compressed_size();
    }
  }
  (void)parse_manifest(text, "application/vnd.docker.distribution.manifest.v2+json",
                       "application/vnd.oci.image.manifest.v1+json");
  if (const auto layout = parse_layout(text)) {
    for (const auto& entry : *layout) (void)entry.image.digest.hex();
  }
  if (const auto config = parse_config(text)) {
    for (const auto& entry : config->env) {
      if (entry.find('=') == std::string::npos || entry.front() == '=') std::abort();
    }
    (void)chain_id(config->diff_ids, config->diff_ids.size());
  }
  return 0;
}
