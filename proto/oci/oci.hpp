#pragma once
/// \file
/// OCI and Docker image documents, parsed strictly enough to be acted on
/// (packaging/doc/security.md 1.2, 1.3, 2.1, 2.2).

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/result.hpp"
#include "proto/digest.hpp"

namespace holdfast::proto::oci {

inline constexpr std::size_t kMaxDocumentBytes =
    4U << 20;  ///< manifest, index, config (packaging/doc/security.md 1.12)
inline constexpr std::size_t kMaxLayers = 128;

/// The value of the Accept header for a manifest request.
[[nodiscard]] std::string_view manifest_accept();

struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;  ///< normalised: never empty for arm, arm64, amd64
  bool operator==(const Platform&) const = default;
};

/// "linux/amd64", "linux/arm64/v8".
[[nodiscard]] std::string to_string(const Platform& platform);

struct Descriptor {
  std::string media_type;
  Digest digest;
  std::uint64_t size;
  std::optional<Platform> platform;
  bool operator==(const Descriptor&) const = default;
};

enum class Compression : std::uint8_t { none, gzip, zstd };

struct Layer {
  Descriptor blob;
  Compression compression;
};

struct Index {
  std::vector<Descriptor> manifests;
};

struct Manifest {
  Descriptor config;
  std::vector<Layer> layers;  ///< lowest first
  std::uint64_t compressed_size() const;
};

/// The part of the image configuration that we use. OPTIONAL fields may be null in the document.
struct ImageConfig {
  Platform platform;
  std::vector<Digest> diff_ids;  ///< lowest first, one per layer
  std::string user;
  std::vector<std::string> env;  ///< each exactly NAME=value (packaging/doc/security.md R-3.2)
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  std::string working_dir;
  std::vector<std::string> volumes;  ///< destinations
  std::string stop_signal;
  std::map<std::string, std::string> labels;
};

/// Parses what a registry returned for a manifest request. `content_type` may carry parameters;
/// `expected_media_type` is the parent descriptor's, empty at the top level (rules,
/// Errors: media_type (schema 1, ambiguous, artifact, mismatch), too_large, layer_corrupt
/// (form), digest_unsupported.
[[nodiscard]] Result<std::variant<Index, Manifest>> parse_manifest(
    std::string_view bytes, std::string_view content_type, std::string_view expected_media_type);

/// What an OCI layout lists (image-spec image-layout.md).
struct LayoutEntry {
  Descriptor image;  ///< an index or a manifest
  std::string name;  ///< io.containerd.image.name, else org.opencontainers.image.ref.name
};

/// Parses the index.json of an OCI layout; what is no image or index is left out. Errors:
/// too_large, layer_corrupt (form), media_type, digest_unsupported.
[[nodiscard]] Result<std::vector<LayoutEntry>> parse_layout(std::string_view bytes);

/// Errors: layer_corrupt (form, rootfs.type, diff_ids), runtime (env entry without '='), too_large.
[[nodiscard]] Result<ImageConfig> parse_config(std::string_view bytes);

/// The platform of this build's target machine, e.g. linux/amd64/v1.
[[nodiscard]] Platform host_platform();

/// First best entry for `host`: variants from the host's own downwards; unknown/unknown and
/// non-image entries skipped. Errors: platform, listing what the index offers.
[[nodiscard]] Result<Descriptor> choose(const Index& index, const Platform& host);

/// Chain ID of layers 0…n by image-spec config.md: the identity of a stack of layers.
[[nodiscard]] Digest chain_id(const std::vector<Digest>& diff_ids, std::size_t count);

}  // namespace holdfast::proto::oci
