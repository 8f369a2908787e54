#pragma once
/// \file
/// The port through which the engine gets images, and what it gets.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/base/strong.hpp"
#include "deploy/image/port/pull_progress.hpp"
#include "deploy/image/port/stored_image.hpp"
#include "proto/digest.hpp"
#include "proto/image_ref.hpp"

namespace holdfast::deploy::image {

struct Wanted {
  proto::ImageRef ref;
  std::optional<Bytes> max_size;  ///< of the compressed layers together; none: any
};

struct PullStats {
  std::uint64_t bytes_fetched = 0;  ///< from the network
  std::uint32_t layers_fetched = 0;
  std::uint32_t layers_local = 0;
  Milliseconds duration{0};
};

struct Pulled {
  StoredImage image;
  PullStats stats;
};

/// An image that is there, by the store's own record.
struct HeldImage {
  proto::Digest manifest;
  Bytes compressed_size{0};  ///< of its layers; 0: an older agent pulled it
};

struct Collected {
  std::uint32_t layers = 0;
  std::uint32_t blobs = 0;
  std::uint64_t bytes = 0;
};

/// Why images must stay, by pinned digest: "current", "generation 3", "instance web-1a2b3c4d-7".
using Holders = std::map<proto::Digest, std::vector<std::string>>;

/// The images of this host. Thread safe; every call blocks and honours `stop` within a second.
class Images {
 public:
  virtual ~Images() = default;

  /// Makes the image whole on this disk: pulls what is missing, verifies, unpacks, commits durably.
  /// Repeat safe; two calls for one image or with common layers are one download. Errors: those of
  /// the registry, digests, layers, nospace. Only for what bytes that match their digest say:
  /// platform, media_type, too_large, diffid_mismatch, digest_unsupported, policy (`max_size`,
  /// before a layer is fetched). Every other code may be the doing of an endpoint, of something on
  /// the way to it, or of this host, and may pass.
  virtual Result<Pulled> ensure(const Wanted& wanted, const ProgressSink& progress,
                                const std::stop_token& stop) = 0;

  /// What is there, without network; its configuration is read and parsed, at most 4 MiB: not for
  /// the engine's thread. Errors: not_found (names the missing digest), layer_corrupt.
  virtual Result<StoredImage> find(const proto::Digest& pinned) = 0;

  /// Whether it is there: a record of the store's own, of at most 1 MiB, and one look at each layer
  /// and at its configuration. Nothing that an image says is read. Errors: as `find`.
  virtual Result<HeldImage> look(const proto::Digest& pinned) = 0;

  /// Pinned digests of all whole images.
  virtual Result<std::set<proto::Digest>> list() = 0;

  /// What the engine needs from now on, all of it. Nothing of it is collected after this returned.
  /// Must be called before a decision counts on an image that is there. Quick.
  virtual void retain(Holders holders) = 0;

  /// Deletes everything that no image in `keep`, nothing retained, no lease and no running `ensure`
  /// needs. Never races a pull.
  virtual Result<Collected> collect(const std::set<proto::Digest>& keep,
                                    const std::stop_token& stop) = 0;
};

}  // namespace holdfast::deploy::image
