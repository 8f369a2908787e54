#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/url/url.hpp"
#include "proto/config/config_reader.hpp"

namespace holdfast::proto {
namespace {

constexpr std::array<std::string_view, 9> kSourceKeys{
    "file",       "url",       "trust", "interval", "stale_after", "ca", "client_certificate",
    "client_key", "token_file"};
constexpr std::array<std::string_view, 5> kKeysOfUrl{"interval", "ca", "client_certificate",
                                                     "client_key", "token_file"};

void read_url(yaml::Fields& fields, SourceConfig& source) {
  const auto url = fields.text("url");
  if (!url) return;
  constexpr std::size_t kLongest = 1024;
  const auto parts = url->value.size() <= kLongest ? url::parts_of(url->value) : std::nullopt;
  const bool plain = parts && parts->scheme == "https" && !parts->has_user &&
                     !parts->has_query_or_fragment && parts->path.size() > 1 &&
                     !parts->path.ends_with('/');
  if (plain) {
    source.url = url->value;
    return;
  }
  // It may hold a password, so it is not repeated.
  fields.findings().error(url->mark, "source.url is not the https URL of a document",
                          "write https://config.example.com/shop/deployment.json, without user, "
                          "query or fragment; a login goes into token_file");
}

void check_together(yaml::Fields& fields, const SourceConfig& source) {
  auto& findings = fields.findings();
  if (fields.has("file") == fields.has("url"))
    findings.error(fields.mark(), "source needs either file or url",
                   "write the absolute path of the document, or the URL of the signed one");
  if (fields.has("url") && !fields.has("trust"))
    findings.error(fields.mark("url"), "source.url needs source.trust",
                   "name the root of trust: what comes over the network must be signed");
  if (source.client_certificate.empty() != source.client_key.empty())
    findings.error(fields.mark(source.client_key.empty() ? "client_certificate" : "client_key"),
                   "source.client_certificate and source.client_key belong together",
                   "write both or none");
  if (fields.has("url")) {
    if (fields.has("stale_after") && source.stale_after <= source.interval)
      findings.error(fields.mark("stale_after"),
                     "source.stale_after must be longer than source.interval",
                     "write at least twice the interval");
    return;
  }
  for (const auto key : kKeysOfUrl) {
    if (fields.has(key))
      findings.error(fields.mark(key), fmt::format("source.{} has no meaning without url", key),
                     "leave it out");
  }
}

}  // namespace

void read_source(yaml::Fields& top, AgentConfig& config) {
  const auto* node = top.find("source");
  if (node == nullptr) return;
  yaml::Fields fields{*node, "source", kSourceKeys, top.findings()};
  if (node->kind != yaml::Kind::mapping) return;
  auto& source = config.source;
  (void)read_path(fields, "file", source.file);
  read_url(fields, source);
  (void)read_path(fields, "trust", source.trust);
  (void)read_path(fields, "ca", source.ca);
  (void)read_path(fields, "client_certificate", source.client_certificate);
  (void)read_path(fields, "client_key", source.client_key);
  (void)read_path(fields, "token_file", source.token_file);
  if (const auto every =
          fields.duration("interval", {std::chrono::seconds{1}, std::chrono::hours{24}}))
    source.interval = *every;
  if (const auto age =
          fields.duration("stale_after", {std::chrono::seconds{1}, std::chrono::hours{24 * 366}}))
    source.stale_after = *age;
  else
    source.stale_after = std::max(source.stale_after, 2 * source.interval);
  check_together(fields, source);
}

}  // namespace holdfast::proto
