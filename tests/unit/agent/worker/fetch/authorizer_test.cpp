#include "agent/worker/fetch/authorizer.hpp"

#include <gtest/gtest.h>

#include "tests/support/fake_clock.hpp"

namespace holdfast::agent::worker::fetch {
namespace {

/// What happens to a login for `registry` when it names `realm`: whether the request was refused
/// before anybody was asked. The proxy is one that refuses connections, so no case leaves this
/// host.
bool may_ask(const std::string& registry, const std::string& realm) {
  const test::FakeClock clock;
  Authorizer authorizer{{.base = registry,
                         .scope = "repository:a:pull",
                         .proxy = {.http = "http://127.0.0.1:1", .https = "http://127.0.0.1:1"}},
                        {.user = "user", .password = "pass"},
                        clock};
  net::HttpClient http;
  const auto answer = authorizer.answer({"Bearer realm=\"" + realm + "\",service=\"s\""}, "", http);
  EXPECT_FALSE(answer);
  return answer.error().code() != Errc::auth;
}

TEST(Authorizer, KnowsTheTokenServersOfProviders) {
  for (const auto& [registry, realm] : std::vector<std::pair<std::string, std::string>>{
           {"https://registry-1.docker.io", "https://auth.docker.io/token"},
           {"https://registry.gitlab.com", "https://gitlab.com/jwt/auth"},
           {"https://registry.digitalocean.com", "https://api.digitalocean.com/v2/registry/auth"},
           {"https://rg.fr-par.scw.cloud", "https://api.scaleway.com/registry-internal/v1/token"},
           {"https://registry.cn-hangzhou.aliyuncs.com",
            "https://dockerauth.cn-hangzhou.aliyuncs.com/auth"},
           {"https://registry.example.com", "https://registry.example.com:8443/token"}})
    EXPECT_TRUE(may_ask(registry, realm)) << registry << " " << realm;
}

TEST(Authorizer, AsksNobodyElse) {
  for (const auto& [registry, realm] : std::vector<std::pair<std::string, std::string>>{
           {"https://registry.gitlab.com", "https://gitlab.com.evil.example/jwt"},
           {"https://registry.gitlab.com", "https://auth.docker.io/token"},
           {"https://registry.gitlab.com", "http://gitlab.com/jwt"},
           {"https://registry.gitlab.com", "https://gitlab.com:8443/jwt"},
           {"https://registry.gitlab.com:5000", "https://gitlab.com/jwt"},
           {"http://registry.gitlab.com", "https://gitlab.com/jwt"},
           {"https://evil.example", "https://gitlab.com/jwt"},
           {"https://evil.scw.cloud", "https://api.scaleway.com/token"},
           {"https://registry.cn-hangzhou.aliyuncs.com", "https://bucket.oss.aliyuncs.com/auth"},
           {"https://dockerauth.aliyuncs.com.evil.example", "https://dockerauth.aliyuncs.com/auth"},
           {"https://registry.example.com", "https://registry.example.com@evil.example/token"}})
    EXPECT_FALSE(may_ask(registry, realm)) << registry << " " << realm;
}

}  // namespace
}  // namespace holdfast::agent::worker::fetch
