#include "deploy/image/pull/documents.hpp"

#include <fmt/format.h>

#include <variant>

#include "common/os/file.hpp"

namespace holdfast::deploy::image {
namespace {

constexpr int kMaxIndexDepth = 3;

struct Document {
  std::string bytes;
  std::string content_type;  ///< empty for a stored one
};

/// Whatever is wrong with bytes that match their digest is wrong with them everywhere.
Error said_by_image(Error error) {
  const auto own = error.code();
  if (own == Errc::platform || own == Errc::too_large || own == Errc::digest_unsupported)
    return error;
  // What is no digest can be checked by nobody.
  const auto code = own == Errc::ref_invalid ? Errc::digest_unsupported : Errc::media_type;
  return Error{code, error.what()}.hint(error.next_step());
}

/// What one endpoint answered; another may do better. A manifest whose header contradicts what it
/// calls itself is such an answer too: the header is nothing that a digest vouches for.
Status check_answer(ObjectKind kind, const proto::Digest& digest, std::uint64_t declared,
                    const fetch::FetchedDocument& answer) {
  const auto actual = proto::Digest::of(answer.bytes);
  if (actual != digest)
    return Error{Errc::digest_mismatch, fmt::format("{} has the digest {} at {}", digest.str(),
                                                    actual.str(), answer.report.endpoint)}
        .hint(
            "the registry or something on the way to it changed the bytes: compare with another "
            "host, then push the image again");
  // Below a verified parent the descriptor says what it is.
  if (kind != ObjectKind::manifest || declared > 0) return ok();
  const auto alone = proto::oci::parse_manifest(answer.bytes, "", "");
  const auto headed = proto::oci::parse_manifest(answer.bytes, answer.report.content_type, "");
  if (!alone || headed) return ok();
  return Error{Errc::registry,
               fmt::format("{} sends {} with a false type: {}", answer.report.endpoint,
                           digest.str(), headed.error().what())}
      .hint("something on the way to the registry changes its answers: a proxy, or a login page");
}

class Resolver {
 public:
  Resolver(const Paths& paths, const Origin& origin, Leases::Lease& lease,
           const std::stop_token& stop)
      : paths_(paths), origin_(origin), lease_(lease), stop_(stop) {}

  Result<Document> get(ObjectKind kind, const proto::Digest& digest, std::uint64_t size) {
    lease_.hold(digest.hex());
    if (auto stored = read_blob(paths_, digest)) return Document{*std::move(stored), {}};
    auto request = origin_.requests.object(kind, digest, size);
    if (request.limits.bytes > proto::oci::kMaxDocumentBytes)
      return Error{Errc::too_large, fmt::format("{} is declared with {} bytes, at most {} are read",
                                                digest.str(), size, proto::oci::kMaxDocumentBytes)};
    for (int tries = 0;; ++tries) {
      auto answer = origin_.fetcher.document(request, stop_);
      if (!answer) return explain_fetch(std::move(answer).error());
      auto fetched = std::move(answer).value();
      fetched_ += fetched.bytes.size();
      auto sound = check_answer(kind, digest, size, fetched);
      if (sound) {
        HF_TRY(os::write_atomic(paths_.blob(digest), fetched.bytes, 0600, os::Durability::lazy));
        return Document{std::move(fetched.bytes), std::move(fetched.report.content_type)};
      }
      const bool mirror_left = fetched.report.endpoint_index + 1 < fetched.report.endpoints;
      if (tries > 0 && !mirror_left) return std::move(sound).error();
      if (tries > 0) request.skip_endpoints = fetched.report.endpoint_index + 1;
    }
  }

  Result<std::pair<proto::Digest, proto::oci::Manifest>> manifest(const proto::Digest& digest,
                                                                  std::uint64_t size,
                                                                  const std::string& expected,
                                                                  int depth) {
    auto document = get(ObjectKind::manifest, digest, size);
    if (!document) return std::move(document).error().in("manifest " + digest.short_hex());
    auto parsed = proto::oci::parse_manifest(document->bytes, document->content_type, expected);
    if (!parsed)
      return said_by_image(std::move(parsed).error()).in("manifest " + digest.short_hex());
    if (auto* found = std::get_if<proto::oci::Manifest>(&*parsed))
      return std::pair{digest, std::move(*found)};
    if (depth >= kMaxIndexDepth)
      return Error{Errc::media_type,
                   fmt::format("indexes are nested more than {} deep", kMaxIndexDepth)};
    HF_ASSIGN(const auto chosen, proto::oci::choose(std::get<proto::oci::Index>(*parsed),
                                                    proto::oci::host_platform()));
    return manifest(chosen.digest, chosen.size, chosen.media_type, depth + 1);
  }

  [[nodiscard]] std::uint64_t fetched() const { return fetched_; }

 private:
  const Paths& paths_;
  const Origin& origin_;
  Leases::Lease& lease_;
  const std::stop_token& stop_;
  std::uint64_t fetched_ = 0;
};

Status check_config(const proto::oci::Manifest& manifest, const proto::oci::ImageConfig& config) {
  const auto host = proto::oci::host_platform();
  if (config.platform.os != host.os || config.platform.architecture != host.architecture)
    return Error{Errc::platform,
                 fmt::format("the image is for {}, this host is {}",
                             proto::oci::to_string(config.platform), proto::oci::to_string(host))}
        .hint("pin the index of a multi-platform image, or the manifest for this platform");
  if (config.diff_ids.size() != manifest.layers.size())
    return Error{Errc::diffid_mismatch,
                 fmt::format("the image has {} layers but {} diff_ids", manifest.layers.size(),
                             config.diff_ids.size())};
  return ok();
}

}  // namespace

Result<std::string> read_blob(const Paths& paths, const proto::Digest& digest) {
  auto bytes = os::read_regular_file(paths.blob(digest), proto::oci::kMaxDocumentBytes);
  if (!bytes) return std::move(bytes).error().in("stored document " + digest.str());
  if (proto::Digest::of(*bytes) == digest) return bytes;
  (void)os::remove_tree(paths.blob(digest));
  return Error{Errc::layer_corrupt, fmt::format("stored document {} is damaged", digest.str())};
}

Result<Documents> resolve_documents(const Paths& paths, const proto::ImageRef& ref,
                                    const Origin& origin, Leases::Lease& lease,
                                    const std::stop_token& stop) {
  Resolver resolver{paths, origin, lease, stop};
  HF_ASSIGN(auto found, resolver.manifest(ref.digest, 0, "", 0));
  const auto config_descriptor = found.second.config;
  auto config_bytes =
      resolver.get(ObjectKind::blob, config_descriptor.digest, config_descriptor.size);
  if (!config_bytes)
    return std::move(config_bytes).error().in("config " + config_descriptor.digest.short_hex());
  auto config = proto::oci::parse_config(config_bytes->bytes);
  if (!config)
    return said_by_image(std::move(config).error())
        .in("config " + config_descriptor.digest.short_hex());
  HF_TRY(check_config(found.second, *config));
  return Documents{.manifest_digest = std::move(found.first),
                   .manifest = std::move(found.second),
                   .config_digest = config_descriptor.digest,
                   .config = *std::move(config),
                   .fetched = resolver.fetched()};
}

}  // namespace holdfast::deploy::image
