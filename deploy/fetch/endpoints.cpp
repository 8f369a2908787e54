#include "deploy/fetch/endpoints.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "common/url/url.hpp"
#include "deploy/fetch/credentials.hpp"

namespace holdfast::deploy::fetch {
namespace {

namespace fs = std::filesystem;

/// "mirror.example:5000" of "https://mirror.example:5000/path".
std::string host_of(std::string_view base) {
  const auto parts = url::parts_of(base);
  return parts ? parts->authority : std::string{base};
}

/// A mirror below a path: "https://harbor.example.com/v2/proxy" is the API itself, with all that
/// comes before the repository there ("override_path" in hosts.toml).
std::pair<std::string, std::string> split_api_path(std::string base) {
  while (base.ends_with('/')) base.pop_back();
  const auto parts = url::parts_of(base);
  const auto at = parts ? parts->path.find("/v2/") : std::string::npos;
  if (at == std::string::npos) return {std::move(base), {}};
  const auto before = base.size() - parts->path.size() + at;
  return {base.substr(0, before), base.substr(before)};
}

std::string scope_of(const std::string& api_path, const std::string& repository) {
  constexpr std::size_t kVersion = 3;  // of "/v2"
  const auto project = api_path.empty() ? "" : api_path.substr(kVersion + 1) + "/";
  return "repository:" + project + repository + ":pull";
}

Result<Login> login_for(const std::string& named, const HostFiles& files, const std::string& host,
                        const std::string& repository) {
  if (!named.empty()) return credentials_for(named, host, repository, files.helpers);
  for (const auto& file : files.logins) {
    auto login = credentials_for(file, host, repository, files.helpers);
    if (!login && login.error().code() == Errc::not_found) continue;
    if (!login) return login;
    if (!login->user.empty() || !login->identity_token.empty()) return login;
  }
  return Login{};
}

/// containers-certs.d.5: *.crt are authorities, NAME.cert and NAME.key the client's pair. The
/// directory's name must be the host as references write it, port and all.
Status add_certificates(const HostFiles& files, const std::string& host,
                        proto::worker::FetchEndpoint& endpoint) {
  for (const auto& top : files.certificates) {
    std::error_code error;
    std::vector<fs::path> found;
    for (fs::directory_iterator it{top / host, error}; !error && it != fs::directory_iterator{};
         it.increment(error))
      found.push_back(it->path());
    if (found.empty()) continue;
    std::sort(found.begin(), found.end());
    for (const auto& path : found) {
      if (path.extension() == ".crt") endpoint.ca_files.push_back(path.string());
      if (path.extension() != ".cert" || !endpoint.client_certificate.empty()) continue;
      const fs::path key = fs::path{path}.replace_extension(".key");
      if (!fs::exists(key, error))
        return Error{Errc::tls, fmt::format("the client certificate {} has no key", path.string())}
            .hint("put the key beside it as " + key.string());
      endpoint.client_certificate = path.string();
      endpoint.client_key = key.string();
    }
    return ok();
  }
  return ok();
}

}  // namespace

Result<std::vector<proto::worker::FetchEndpoint>> endpoints_for(
    const std::map<std::string, proto::RegistryConfig>& registries, const proto::ProxyConfig& proxy,
    const HostFiles& files, const proto::ImageRef& ref) {
  const auto it = registries.find(ref.host);
  const proto::RegistryConfig config =
      it == registries.end() ? proto::RegistryConfig{} : it->second;
  std::vector<proto::worker::FetchEndpoint> endpoints;
  const auto add = [&](const std::string& base, const std::string& host,
                       const proto::RegistryConfig& its) -> Status {
    HF_ASSIGN(auto login, login_for(its.credentials, files, host, ref.repository));
    proto::worker::FetchEndpoint endpoint;
    std::tie(endpoint.base, endpoint.api_path) = split_api_path(base);
    endpoint.token_scope = scope_of(endpoint.api_path, ref.repository);
    endpoint.user = std::move(login.user);
    endpoint.password = std::move(login.password);
    endpoint.identity_token = std::move(login.identity_token);
    for (const auto& server : its.token_servers) {
      proto::worker::FetchEndpoint own;  // its certificates are those of its own host
      const auto known = registries.find(server);
      if (known != registries.end() && !known->second.ca.empty())
        own.ca_files.push_back(known->second.ca);
      HF_TRY(add_certificates(files, server, own));
      endpoint.token_servers.push_back({server, std::move(own.ca_files)});
    }
    const auto& way = its.proxy ? *its.proxy : proxy;
    endpoint.http_proxy = way.http;
    endpoint.https_proxy = way.https;
    endpoint.no_proxy = way.no_proxy;
    if (!its.ca.empty()) endpoint.ca_files.push_back(its.ca);
    HF_TRY(add_certificates(files, host, endpoint));
    endpoints.push_back(std::move(endpoint));
    return ok();
  };
  for (const auto& mirror : config.mirrors) {
    const std::string host = host_of(mirror);
    const auto own = registries.find(host);
    HF_TRY(add(mirror, host, own == registries.end() ? proto::RegistryConfig{} : own->second));
  }
  const std::string host = ref.host == "docker.io" ? "registry-1.docker.io" : ref.host;
  // A mirror of several registries is told which one is meant; one below a path is that one's.
  for (auto& mirror : endpoints) {
    if (mirror.api_path.empty()) mirror.query = "ns=" + ref.host;
  }
  HF_TRY(add((config.plain_http ? "http://" : "https://") + host, ref.host, config));
  return endpoints;
}

}  // namespace holdfast::deploy::fetch
