#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "proto/config/agent_config.hpp"
#include "proto/image_ref.hpp"
#include "proto/worker/fetch.hpp"

namespace holdfast::deploy::fetch {

/// Where other tools keep logins and certificates on this host
/// (packaging/doc/security.md 1.5, 1.6). The first place that knows the registry counts.
struct HostFiles {
  std::vector<std::filesystem::path> logins{
      "/etc/holdfast/auth.json", "/run/containers/0/auth.json",
      "/root/.config/containers/auth.json", "/root/.docker/config.json"};
  std::vector<std::filesystem::path> helpers{"/usr/local/bin", "/usr/bin"};
  std::vector<std::filesystem::path> certificates{"/etc/holdfast/certs.d",
                                                  "/etc/containers/certs.d", "/etc/docker/certs.d"};
};

/// Where the image may be fetched, mirrors in order and the registry itself last, each with its own
/// login and certificates: never those of another host (packaging/doc/security.md ). Errors:
/// auth, perm, tls (a certificate without its key), by errno.
[[nodiscard]] Result<std::vector<proto::worker::FetchEndpoint>> endpoints_for(
    const std::map<std::string, proto::RegistryConfig>& registries, const proto::ProxyConfig& proxy,
    const HostFiles& files, const proto::ImageRef& ref);

}  // namespace holdfast::deploy::fetch
