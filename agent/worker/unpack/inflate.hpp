#pragma once
#include <cstddef>
#include <memory>
#include <span>

#include "common/base/result.hpp"
#include "proto/oci/oci.hpp"

namespace holdfast::agent::worker::unpack {

/// What one step of a decoder used and made.
struct Step {
  std::size_t used = 0;
  std::size_t made = 0;
};

/// A streaming decoder: gzip (any number of members), zstd (any number of frames, window ≤
/// 128 MiB), or none. Not thread safe. Rules: packaging/doc/security.md 2.2.
class Inflater {
 public:
  virtual ~Inflater() = default;
  /// Decodes from `in` to `out`. A step that neither uses nor makes anything needs more input.
  /// Errors: layer_corrupt (form), layer_limit (window).
  [[nodiscard]] virtual Result<Step> step(std::span<const std::byte> in,
                                          std::span<std::byte> out) = 0;
  /// Whether the input may end here. Errors: layer_corrupt.
  [[nodiscard]] virtual Status finish() = 0;
};

[[nodiscard]] std::unique_ptr<Inflater> make_inflater(proto::oci::Compression compression);

}  // namespace holdfast::agent::worker::unpack
