#include "common/net/proxy.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>

#include "common/base/text.hpp"
#include "common/net/address.hpp"
#include "common/url/url.hpp"

namespace holdfast::net {
namespace {

bool in_network(const std::string& host, std::string_view network) {
  const auto slash = network.find('/');
  if (slash == std::string_view::npos) return false;
  const auto bits = parse_number(network.substr(slash + 1));
  in_addr base{};
  in_addr address{};
  if (!bits || *bits > 32 ||
      inet_pton(AF_INET, std::string{network.substr(0, slash)}.c_str(), &base) != 1 ||
      inet_pton(AF_INET, host.c_str(), &address) != 1)
    return false;
  const std::uint32_t mask = *bits == 0 ? 0 : ~std::uint32_t{0} << (32U - *bits);
  return (ntohl(base.s_addr) & mask) == (ntohl(address.s_addr) & mask);
}

bool excepts(const std::string& rule, const std::string& host) {
  if (rule == "*" || rule == host || in_network(host, rule)) return true;
  const auto domain = rule.starts_with('.') ? rule.substr(1) : rule;
  return !domain.empty() && (host == domain || host.ends_with("." + domain));
}

}  // namespace

std::string proxy_for(const Proxy& proxy, const std::string& url) {
  const auto origin = origin_of(url);
  if (!origin) return {};
  const auto parts = url::parts_of(*origin);
  const auto host = parts ? parts->host : std::string{};
  const bool direct = std::any_of(proxy.except.begin(), proxy.except.end(),
                                  [&](const auto& rule) { return excepts(rule, host); });
  if (direct) return {};
  return origin->starts_with("https://") ? proxy.https : proxy.http;
}

std::optional<Reach> reach_of_literal(const std::string& host) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  if (inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1)
    return reach_of(reinterpret_cast<const sockaddr&>(v4));
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  if (inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1)
    return reach_of(reinterpret_cast<const sockaddr&>(v6));
  return std::nullopt;
}

}  // namespace holdfast::net
