#pragma once
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "common/base/result.hpp"
#include "deploy/image/pull/object_requests.hpp"
#include "deploy/image/store/leases.hpp"
#include "deploy/image/store/paths.hpp"
#include "proto/image_ref.hpp"
#include "proto/oci/oci.hpp"

namespace holdfast::deploy::image {

/// The documents of one image for this host's platform, each checked against its digest.
struct Documents {
  proto::Digest manifest_digest;
  proto::oci::Manifest manifest;
  proto::Digest config_digest;
  proto::oci::ImageConfig config;
  std::uint64_t fetched = 0;  ///< bytes from the network
};

/// A stored document. Errors: not_found, layer_corrupt (its bytes have changed; it is removed
/// then).
[[nodiscard]] Result<std::string> read_blob(const Paths& paths, const proto::Digest& digest);

/// Index → platform → manifest → config, from the store where it has them, else from the registry,
/// and stored then (not yet durable). Errors: digest_mismatch, media_type, platform, layer_corrupt,
/// those of the registry.
[[nodiscard]] Result<Documents> resolve_documents(const Paths& paths, const proto::ImageRef& ref,
                                                  const Origin& origin, Leases::Lease& lease,
                                                  const std::stop_token& stop);

}  // namespace holdfast::deploy::image
