#pragma once
#include <string>
#include <string_view>

#include "common/base/result.hpp"
#include "proto/digest.hpp"

namespace holdfast::proto {

/// A pinned image: `host/name[:tag]@sha256:…`. Grammar and limits: packaging/doc/security.md 1.1.
/// The digest decides, the tag is for people.
struct ImageRef {
  std::string host;  ///< registry as written: "registry.example.com:5000"; "docker.io" when none
                     ///< was written
  std::string repository;  ///< "shop/web"; single names on docker.io get "library/"
  std::string tag;         ///< may be empty
  Digest digest;

  /// Errors: ref_invalid (form, or no digest: the hint says how to pin), digest_unsupported.
  [[nodiscard]] static Result<ImageRef> parse(std::string_view text);
  /// Canonical text, with tag if there is one.
  [[nodiscard]] std::string str() const;
  /// "host/repository".
  [[nodiscard]] std::string name() const { return host + "/" + repository; }
  bool operator==(const ImageRef&) const = default;
};

}  // namespace holdfast::proto
