#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/net/http_client.hpp"

namespace holdfast::net {

/// Proxies by the scheme of what is asked for, as curl and most tools mean http_proxy, https_proxy
/// and no_proxy. URLs may hold a user and a password: they never go into messages.
struct Proxy {
  std::string http;   ///< for http:// URLs; empty: none
  std::string https;  ///< for https:// URLs
  std::vector<std::string>
      except;  ///< hosts, domains with or without a dot before them, IPv4 networks, or "*"
};

/// The proxy for this URL; empty: go there directly.
[[nodiscard]] std::string proxy_for(const Proxy& proxy, const std::string& url);

/// Where a host that is written as an address lies; none for a name.
[[nodiscard]] std::optional<Reach> reach_of_literal(const std::string& host);

}  // namespace holdfast::net
