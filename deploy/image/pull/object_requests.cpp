#include "deploy/image/pull/object_requests.hpp"

#include <fmt/format.h>

#include "proto/oci/oci.hpp"

namespace holdfast::deploy::image {
namespace {

constexpr std::uint32_t kDocumentSeconds = 60;

}  // namespace

ObjectRequests ObjectRequests::at_registry(const proto::ImageRef& ref) {
  return ObjectRequests{ref.repository};
}

proto::worker::FetchRequest ObjectRequests::object(ObjectKind kind, const proto::Digest& digest,
                                                   std::uint64_t size) const {
  proto::worker::FetchRequest request;
  request.size = size;
  request.limits.bytes = size > 0 ? size : proto::oci::kMaxDocumentBytes;
  if (repository_.empty()) {
    request.url = "/blobs/sha256/" + digest.hex();
    request.subject = digest.str();
    return request;
  }
  const bool manifest = kind == ObjectKind::manifest;
  request.url =
      fmt::format("/v2/{}/{}/{}", repository_, manifest ? "manifests" : "blobs", digest.str());
  request.headers = {manifest ? fmt::format("Accept: {}", proto::oci::manifest_accept())
                              : std::string{"Accept: */*"}};
  request.subject = fmt::format("{}@{}", repository_, digest.str());
  if (manifest) request.limits.answer_seconds = kDocumentSeconds;
  return request;
}

proto::worker::FetchRequest ObjectRequests::layout() {
  proto::worker::FetchRequest request;
  request.url = "/index.json";
  request.subject = "index.json";
  request.limits.bytes = proto::oci::kMaxDocumentBytes;
  return request;
}

Error explain_fetch(Error error) {
  switch (error.code()) {
    case Errc::not_found:
      return std::move(error).hint(
          "check repository and digest, or push the image again: a registry may have deleted it");
    case Errc::rate_limited:
      return std::move(error).hint("log in, or pull through a mirror");
    default:
      return error;
  }
}

}  // namespace holdfast::deploy::image
