#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/url/url.hpp"
#include "proto/config/config_reader.hpp"
#include "proto/deployment/readers.hpp"
#include "proto/yaml/scalars.hpp"

namespace holdfast::proto {
namespace {

constexpr std::array<std::string_view, 6> kRegistryKeys{"plain_http",  "ca",    "mirrors",
                                                        "credentials", "proxy", "token_servers"};
constexpr std::array<std::string_view, 3> kProxyKeys{"http", "https", "no_proxy"};

/// The key must be what references to that registry begin with, or it would never apply.
bool is_registry_host(const std::string& host) {
  const auto ref = ImageRef::parse(host + "/x@sha256:" + std::string(64, '0'));
  return ref && ref->host == host;
}

/// Of a registry or its mirror: no user, no query.
bool is_base_url(std::string_view url) {
  constexpr std::size_t kMost = 1024;
  const auto parts = url.size() <= kMost ? url::parts_of(url) : std::nullopt;
  return parts && (parts->scheme == "https" || parts->scheme == "http") && !parts->has_user &&
         !parts->has_query_or_fragment;
}

/// "http://user:password@proxy.example.com:3128", also https; no path. A password is read as curl
/// does it: up to the last '@', whatever is in it.
bool is_proxy_url(std::string_view url) {
  const auto user = url.find("://");
  const auto at = url.rfind('@');
  if (user == std::string_view::npos) return false;
  const auto host = at != std::string_view::npos && at > user ? at + 1 : user + 3;
  const auto rest = std::string{url.substr(0, user + 3)} + std::string{url.substr(host)};
  const auto parts = url::parts_of(rest);
  return parts && is_base_url(rest) && (parts->path.empty() || parts->path == "/");
}

void read_proxy_url(yaml::Fields& fields, std::string_view key, std::string& into) {
  const auto text = fields.text(key);
  if (!text) return;
  if (is_proxy_url(text->value)) {
    into = text->value;
    return;
  }
  // What stands there may hold a password: it is not repeated.
  fields.findings().error(text->mark, fmt::format("{} is not the URL of a proxy", fields.path(key)),
                          "write http://proxy.example.com:3128, or http://user:password@host:port");
}

void read_mirrors(yaml::Fields& fields, RegistryConfig& registry) {
  const auto items = fields.texts("mirrors");
  if (!items) return;
  for (std::size_t i = 0; i < items->size(); ++i) {
    const auto& [value, mark] = (*items)[i];
    if (is_base_url(value)) {
      registry.mirrors.push_back(value);
      continue;
    }
    fields.findings().error(mark,
                            fmt::format("{}[{}] is \"{}\", which is not a base URL",
                                        fields.path("mirrors"), i, yaml::shown(value)),
                            "write https://mirror.example.com, without user, query or fragment");
  }
}

void read_token_servers(yaml::Fields& fields, RegistryConfig& registry) {
  const auto items = fields.texts("token_servers");
  if (!items) return;
  for (std::size_t i = 0; i < items->size(); ++i) {
    const auto& [value, mark] = (*items)[i];
    if (value.find('/') == std::string::npos && is_base_url("https://" + value)) {
      registry.token_servers.push_back(value);
      continue;
    }
    fields.findings().error(
        mark,
        fmt::format("{}[{}] is \"{}\", which is no host", fields.path("token_servers"), i,
                    yaml::shown(value)),
        "write host or host:port, without scheme or path; it is asked over https");
  }
}

}  // namespace

std::optional<ProxyConfig> read_proxy(yaml::Fields& top) {
  const auto* node = top.find("proxy");
  if (node == nullptr) return std::nullopt;
  if (node->kind == yaml::Kind::scalar && node->text == "off") return ProxyConfig{};
  yaml::Fields fields{*node, top.path("proxy"), kProxyKeys, top.findings()};
  ProxyConfig proxy;
  read_proxy_url(fields, "http", proxy.http);
  read_proxy_url(fields, "https", proxy.https);
  const auto except = fields.texts("no_proxy");
  for (std::size_t i = 0; except && i < except->size(); ++i) {
    const auto& [value, mark] = (*except)[i];
    const bool plain = !value.empty() && value.find_first_of(" ,@\t") == std::string::npos &&
                       value.find("://") == std::string::npos;
    if (plain) {
      proxy.no_proxy.push_back(value);
    } else {
      fields.findings().error(
          mark,
          fmt::format("{}[{}] is \"{}\", which is no host", fields.path("no_proxy"), i,
                      yaml::shown(value)),
          "write a host, a domain such as .example.com, a network such as 10.0.0.0/8, or *");
    }
  }
  return proxy;
}

void read_registries(yaml::Fields& top, AgentConfig& config) {
  const auto* node = top.find("registries");
  if (node == nullptr) return;
  yaml::Fields registries{*node, "registries", {}, top.findings()};
  if (node->kind != yaml::Kind::mapping) return;
  for (const auto& [host, mark, value] : node->members) {
    if (!is_registry_host(host)) {
      top.findings().error(
          mark, fmt::format("\"{}\" is not a registry host as images write it", yaml::shown(host)),
          host == "index.docker.io" ? "write docker.io"
                                    : "write host or host:port, without scheme or path");
    }
    yaml::Fields fields{value, registries.path(host), kRegistryKeys, top.findings()};
    RegistryConfig registry;
    if (const auto plain = fields.flag("plain_http")) registry.plain_http = *plain;
    (void)read_path(fields, "ca", registry.ca);
    (void)read_path(fields, "credentials", registry.credentials);
    read_mirrors(fields, registry);
    read_token_servers(fields, registry);
    registry.proxy = read_proxy(fields);
    if (registry.plain_http && !registry.ca.empty()) {
      fields.findings().error(fields.mark("ca"),
                              fmt::format("{} has no meaning with plain_http", fields.path("ca")),
                              "leave one of them out");
    }
    config.registries.emplace(host, std::move(registry));
  }
}

}  // namespace holdfast::proto
