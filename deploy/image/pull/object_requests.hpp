#pragma once
#include <cstdint>
#include <string>

#include "common/base/result.hpp"
#include "deploy/fetch/fetcher.hpp"
#include "proto/digest.hpp"
#include "proto/image_ref.hpp"
#include "proto/worker/fetch.hpp"

namespace holdfast::deploy::image {

/// What a manifest is served as, and what everything else is.
enum class ObjectKind : std::uint8_t { manifest, blob };

/// How the objects of an image are asked for: at a repository (distribution-spec, Pulling), or in
/// an OCI layout (image-spec image-layout.md). A value.
class ObjectRequests {
 public:
  [[nodiscard]] static ObjectRequests at_registry(const proto::ImageRef& ref);
  [[nodiscard]] static ObjectRequests in_archive() { return ObjectRequests{{}}; }

  /// `size` as declared by a verified document; 0: not known, then a document of at most
  /// proto::oci::kMaxDocumentBytes.
  [[nodiscard]] proto::worker::FetchRequest object(ObjectKind kind, const proto::Digest& digest,
                                                   std::uint64_t size) const;
  /// The list of what an archive holds.
  [[nodiscard]] static proto::worker::FetchRequest layout();

 private:
  explicit ObjectRequests(std::string repository) : repository_(std::move(repository)) {}
  std::string repository_;  ///< empty: an archive
};

/// Where the objects of an image come from. The fetcher outlives it.
struct Origin {
  fetch::Fetcher& fetcher;
  ObjectRequests requests;
};

/// Adds the next step for who pulls an image, where the child knew none.
[[nodiscard]] Error explain_fetch(Error error);

}  // namespace holdfast::deploy::image
