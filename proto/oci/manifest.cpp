#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "common/base/text.hpp"
#include "proto/oci/fields.hpp"
#include "proto/oci/oci.hpp"

namespace holdfast::proto::oci {
namespace {

namespace bj = boost::json;

constexpr std::size_t kMaxManifests = 1000;  ///< packaging/doc/security.md 1.3
constexpr std::size_t kShown = 120;          ///< characters of foreign text that a message repeats

constexpr std::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view kDockerList =
    "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr std::string_view kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
constexpr std::string_view kAccept =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json";

constexpr std::string_view kOciConfig = "application/vnd.oci.image.config.v1+json";
/// What Docker before 1.10 wrote there, in images that are still in use (pause:3.0).
constexpr std::string_view kOldDockerConfig = "application/octet-stream";
constexpr std::string_view kDockerConfig = "application/vnd.docker.container.image.v1+json";

struct LayerType {
  std::string_view media_type;
  Compression compression;
};

// packaging/doc/security.md 2.2.
constexpr LayerType kLayerTypes[] = {
    {"application/vnd.oci.image.layer.v1.tar", Compression::none},
    {"application/vnd.oci.image.layer.v1.tar+gzip", Compression::gzip},
    {"application/vnd.oci.image.layer.v1.tar+zstd", Compression::zstd},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar", Compression::none},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Compression::gzip},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", Compression::zstd},
    {"application/vnd.docker.image.rootfs.diff.tar", Compression::none},
    {"application/vnd.docker.image.rootfs.diff.tar.gzip", Compression::gzip},
    {"application/vnd.docker.image.rootfs.diff.tar.zstd", Compression::zstd},
    {"application/vnd.docker.image.rootfs.foreign.diff.tar", Compression::none},
    {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Compression::gzip},
};

std::string shown(std::string_view text) { return printable(text.substr(0, kShown)); }

Error media_type_error(std::string what) { return Error{Errc::media_type, std::move(what)}; }

/// Lower case, without parameters.
std::string bare(std::string_view content_type) {
  std::string type{trim(content_type.substr(0, content_type.find(';')))};
  for (char& c : type) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return type;
}

/// What the document is, from the descriptor, the header and itself. Nothing of the
/// three: by its shape.
Result<std::string> media_type_of(const bj::object& object, std::string_view content_type,
                                  std::string_view expected) {
  HF_ASSIGN(const auto own, text(object, "mediaType"));
  const auto header = bare(content_type);
  const std::string reference = expected.empty() ? header : std::string{expected};
  if (!own.empty() && !reference.empty() && own != reference) {
    return media_type_error(
        fmt::format("the manifest calls itself \"{}\", but {} says \"{}\"", shown(own),
                    expected.empty() ? "the registry" : "its descriptor", shown(reference)));
  }
  if (!reference.empty()) return reference;
  if (!own.empty()) return own;
  return std::string{object.contains("manifests") ? kOciIndex : kOciManifest};
}

Status check_schema(const bj::object& object, std::string_view type) {
  if (type.starts_with("application/vnd.docker.distribution.manifest.v1") ||
      object.contains("fsLayers") || object.contains("signatures"))
    return media_type_error("manifest schema 1 is not supported")
        .hint("push the image again with a current tool");
  const auto* version = member(object, "schemaVersion");
  if (version == nullptr || !version->is_int64() || version->get_int64() != 2)
    return media_type_error("\"schemaVersion\" must be 2");
  return ok();
}

/// A document that can be read as two kinds is neither (R-1.6, CVE-2021-41190).
Status check_unambiguous(const bj::object& object) {
  const bool index = object.contains("manifests");
  const bool manifest = object.contains("layers") || object.contains("config");
  if ((index && manifest) || object.contains("history"))
    return media_type_error("the document is ambiguous: it mixes an index and a manifest");
  return ok();
}

Result<Index> parse_index(const bj::object& object) {
  const auto* list = member(object, "manifests");
  if (list == nullptr || !list->is_array())
    return Error{Errc::layer_corrupt, "\"manifests\" must be a list"};
  if (list->get_array().size() > kMaxManifests)
    return Error{Errc::too_large, fmt::format("the index lists {} manifests, more than {}",
                                              list->get_array().size(), kMaxManifests)};
  Index index;
  for (const auto& item : list->get_array()) {
    HF_ASSIGN(auto entry, descriptor(item));
    index.manifests.push_back(std::move(entry));
  }
  return index;
}

Status check_config(const bj::object& object, const Descriptor& config, std::string_view type) {
  const bool old = type == kDockerManifest && config.media_type == kOldDockerConfig;
  if (config.media_type == kOciConfig || config.media_type == kDockerConfig || old) {
    if (config.size <= kMaxDocumentBytes) return ok();
    return Error{Errc::too_large,
                 fmt::format("the image configuration of {} is beyond the limit of {}",
                             human_bytes(config.size), human_bytes(kMaxDocumentBytes))};
  }
  HF_ASSIGN(auto artifact, text(object, "artifactType"));
  if (artifact.empty()) artifact = config.media_type;
  return media_type_error(
             fmt::format("this is an artifact (type {}), not a runnable image", shown(artifact)))
      .hint("pin the image itself");
}

Result<Layer> parse_layer(const bj::value& value) {
  HF_ASSIGN(auto blob, descriptor(value));
  for (const auto& type : kLayerTypes) {
    if (blob.media_type == type.media_type) return Layer{std::move(blob), type.compression};
  }
  if (blob.media_type.ends_with("+encrypted"))
    return media_type_error(fmt::format("layer {} is encrypted, which is not supported",
                                        blob.digest.short_hex()))
        .hint("push the image without encryption");
  return media_type_error(fmt::format("layer {} has the unknown media type \"{}\"",
                                      blob.digest.short_hex(), shown(blob.media_type)));
}

Result<Manifest> parse_image(const bj::object& object, std::string_view type) {
  const auto* config = member(object, "config");
  if (config == nullptr) return Error{Errc::layer_corrupt, "\"config\" must be given"};
  auto parsed = descriptor(*config);
  if (!parsed) return std::move(parsed).error().in("config");
  HF_TRY(check_config(object, *parsed, type));

  const auto* list = member(object, "layers");
  if (list == nullptr || !list->is_array() || list->get_array().empty())
    return Error{Errc::layer_corrupt, "\"layers\" must be a list with at least one layer"};
  if (list->get_array().size() > kMaxLayers)
    return Error{Errc::too_large, fmt::format("the image has {} layers, more than {}",
                                              list->get_array().size(), kMaxLayers)};
  Manifest manifest{*std::move(parsed), {}};
  for (const auto& item : list->get_array()) {
    HF_ASSIGN(auto layer, parse_layer(item));
    manifest.layers.push_back(std::move(layer));
  }
  return manifest;
}

}  // namespace

std::string_view manifest_accept() { return kAccept; }

std::uint64_t Manifest::compressed_size() const {
  std::uint64_t total = 0;
  for (const auto& layer : layers) {
    const auto sum = total + layer.blob.size;
    total = sum < total ? ~std::uint64_t{0} : sum;  // sizes are the registry's words: saturate
  }
  return total;
}

Result<std::variant<Index, Manifest>> parse_manifest(std::string_view bytes,
                                                     std::string_view content_type,
                                                     std::string_view expected_media_type) {
  HF_ASSIGN(const auto value, document(bytes, "manifest"));
  const auto& object = value.get_object();
  HF_ASSIGN(const auto type, media_type_of(object, content_type, expected_media_type));
  HF_TRY(check_schema(object, type));
  HF_TRY(check_unambiguous(object));
  if (type == kOciIndex || type == kDockerList) {
    HF_ASSIGN(auto index, parse_index(object));
    return std::variant<Index, Manifest>{std::move(index)};
  }
  if (type == kOciManifest || type == kDockerManifest) {
    HF_ASSIGN(auto manifest, parse_image(object, type));
    return std::variant<Index, Manifest>{std::move(manifest)};
  }
  return media_type_error(fmt::format("\"{}\" is not an image manifest or index", shown(type)))
      .hint("check that the digest names an image");
}

Result<std::vector<LayoutEntry>> parse_layout(std::string_view bytes) {
  HF_ASSIGN(const auto value, document(bytes, "index.json"));
  const auto& object = value.get_object();
  HF_TRY(check_schema(object, kOciIndex));
  HF_ASSIGN(const auto index, parse_index(object));
  std::vector<LayoutEntry> entries;
  const auto& list = member(object, "manifests")->get_array();
  for (std::size_t i = 0; i < index.manifests.size(); ++i) {
    const auto& type = index.manifests[i].media_type;
    const bool image =
        type == kOciIndex || type == kOciManifest || type == kDockerList || type == kDockerManifest;
    if (!image) continue;
    HF_ASSIGN(const auto notes, text_map(list[i].get_object(), "annotations"));
    std::string name;
    for (const char* key : {"org.opencontainers.image.ref.name", "io.containerd.image.name"}) {
      if (const auto found = notes.find(key); found != notes.end()) name = found->second;
    }
    entries.push_back({index.manifests[i], std::move(name)});
  }
  return entries;
}

}  // namespace holdfast::proto::oci
