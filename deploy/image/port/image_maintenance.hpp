#pragma once
/// \file
/// The port through which people look at the store and look after it.

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "deploy/image/port/images.hpp"
#include "proto/digest.hpp"

namespace holdfast::deploy::image {

/// A whole or damaged image, as `holdfast image list` shows it.
struct ImageInfo {
  proto::Digest pinned;
  proto::Digest manifest;
  std::string reference;    ///< by which it came; empty: not known
  std::uint64_t bytes = 0;  ///< unpacked, layers shared with other images included
  std::uint32_t layers = 0;
  WallTime pulled{};
  std::vector<std::string> holders;      ///< why it must stay; empty: only the lease, or nothing
  std::optional<WallTime> leased_until;  ///< none: no lease, or it has ended
  std::string leased_by;
  std::optional<WallTime> verified;  ///< when the last of its layers was hashed again; none: never
  std::vector<std::string> damage;   ///< what was found wrong with it, each naming a digest
};

/// What a collection would take, and why the rest stays.
struct CollectionPlan {
  struct Item {
    std::string kind;       ///< image | layer | blob | replaced
    std::string name;       ///< digest, or key of the layer
    std::string reference;  ///< of an image
    std::uint64_t bytes = 0;
  };
  struct Kept {
    proto::Digest image;
    std::string reference;
    std::vector<std::string> why;
  };
  std::vector<Item> remove;
  std::vector<Kept> kept;
  std::uint64_t bytes = 0;  ///< that `remove` gives back
};

struct Verification {
  std::uint64_t bytes = 0;             ///< hashed again
  std::uint32_t layers = 0;            ///< of those
  std::uint32_t unknown = 0;           ///< layers of an older agent, which wrote no digest
  std::vector<proto::Digest> damaged;  ///< images that need something damaged
};

/// What hashing again may cost.
struct Budget {
  std::uint64_t bytes_per_second = 0;  ///< 0: no limit
};

/// Thread safe; every call blocks, the long ones honour `stop` within a second.
class ImageMaintenance {
 public:
  virtual ~ImageMaintenance() = default;

  /// All images, damaged ones too, by reference. Errors: by errno.
  virtual Result<std::vector<ImageInfo>> inventory() = 0;

  /// Keeps an image until a time, whether it is there yet or not. Never shortens. Errors: by errno.
  virtual Status lease(const proto::Digest& pinned, WallTime until, const std::string& by) = 0;

  /// What `collect_unneeded` would do now. Errors: busy (the engine has not said yet what it
  /// needs), by errno.
  virtual Result<CollectionPlan> plan_collection() = 0;
  /// Does it: everything goes that neither the engine nor a lease nor a running pull needs. Errors:
  /// as above, cancelled.
  virtual Result<CollectionPlan> collect_unneeded(const std::stop_token& stop) = 0;

  /// Hashes documents and layers of these images (empty: of all) and compares them with what was
  /// pulled. What is damaged is marked, and not used for anything new until it is repaired
  /// (`Images::ensure` does that). Errors: cancelled, not_found (no such image), by errno.
  virtual Result<Verification> verify(const std::set<proto::Digest>& images, const Budget& budget,
                                      const ProgressSink& progress,
                                      const std::stop_token& stop) = 0;

  /// The same for the one layer that was not verified for the longest time, if that is longer ago
  /// than `age`; none when there is no such layer.
  virtual Result<std::optional<Verification>> scrub_one(Milliseconds age, const Budget& budget,
                                                        const std::stop_token& stop) = 0;
};

}  // namespace holdfast::deploy::image
