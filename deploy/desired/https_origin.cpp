#include "deploy/desired/https_origin.hpp"

#include <fmt/format.h>

#include "common/os/token_file.hpp"
#include "common/url/url.hpp"
#include "deploy/fetch/fetcher.hpp"
#include "proto/trust/envelope.hpp"

namespace holdfast::deploy::desired {
namespace {

namespace wire = proto::worker;

constexpr std::uint32_t kAnswerSeconds = 20;
constexpr std::uint32_t kTotalSeconds = 30;  ///< a second try has what is left of it

struct Place {
  std::string base;  ///< "https://config.example.com:8443"
  std::string host;  ///< "config.example.com:8443"
  std::string path;  ///< "/shop/deployment.json"
};

/// The URL was checked when the configuration was read.
Place place_of(const std::string& url) {
  const auto parts = url::parts_of(url);
  return {fmt::format("https://{}", parts->authority), parts->authority, parts->path};
}

Result<wire::FetchSetup> fetch_setup(const HttpsOrigin::Setup& setup, const Place& place) {
  const auto& source = setup.source;
  wire::FetchEndpoint endpoint{.base = place.base,
                               .client_certificate = source.client_certificate,
                               .client_key = source.client_key,
                               .http_proxy = setup.proxy.http,
                               .https_proxy = setup.proxy.https,
                               .no_proxy = setup.proxy.no_proxy};
  if (!source.token_file.empty()) {
    HF_ASSIGN(endpoint.bearer_token, os::read_token(source.token_file));
  }
  if (!source.ca.empty()) endpoint.ca_files.push_back(source.ca);
  return wire::FetchSetup{.endpoints = {std::move(endpoint)}};
}

}  // namespace

Result<HttpsOrigin::Answer> HttpsOrigin::get(const std::string& path, const std::string& etag,
                                             const std::stop_token& stop) const {
  if (stop.stop_requested()) return Error{Errc::cancelled, "ask the source"};
  const auto place = place_of(setup_.source.url);
  HF_ASSIGN(const auto setup, fetch_setup(setup_, place));
  fetch::Fetcher fetcher{fetch::network_child(setup_.worker_path, -1)};
  HF_TRY(fetcher.configure(setup));
  wire::FetchRequest request{.url = path,
                             .subject = path.substr(1),
                             .limits = {.bytes = proto::trust::kMostEnvelopeBytes,
                                        .answer_seconds = kAnswerSeconds,
                                        .total_seconds = kTotalSeconds,
                                        .hosts = {place.host}}};
  if (!etag.empty()) request.headers.push_back("If-None-Match: " + etag);
  HF_ASSIGN(auto fetched, fetcher.document(request, stop));
  constexpr std::uint32_t kNotModified = 304;
  return Answer{.text = std::move(fetched.bytes),
                .etag = std::move(fetched.report.etag),
                .unchanged = !etag.empty() && fetched.report.status == kNotModified};
}

Result<SignedBytes> HttpsOrigin::document(Freshness freshness, const std::stop_token& stop) {
  const auto place = place_of(setup_.source.url);
  HF_ASSIGN(auto answer,
            get(place.path, freshness == Freshness::if_changed ? etag_ : std::string{}, stop));
  if (!answer.unchanged) etag_ = std::move(answer.etag);
  return SignedBytes{.unchanged = answer.unchanged, .text = std::move(answer.text)};
}

Result<std::string> HttpsOrigin::root(std::uint64_t version, const std::stop_token& stop) {
  const auto place = place_of(setup_.source.url);
  const auto directory = place.path.substr(0, place.path.rfind('/') + 1);
  HF_ASSIGN(auto answer, get(fmt::format("{}{}.root.json", directory, version), {}, stop));
  return std::move(answer.text);
}

}  // namespace holdfast::deploy::desired
