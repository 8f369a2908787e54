#include "common/net/address.hpp"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <cstring>
#include <memory>

#include "common/base/text.hpp"

namespace holdfast::net {
namespace {

Reach reach_of_v4(std::uint32_t address) {
  const auto in = [&](std::uint32_t network, int prefix) {
    const std::uint32_t mask =
        prefix == 0 ? 0 : ~std::uint32_t{0} << static_cast<unsigned>(32 - prefix);
    return (address & mask) == network;
  };
  if (in(0x7F000000, 8)) return Reach::loopback;
  if (in(0xA9FE0000, 16) || in(0xE0000000, 4) || in(0xF0000000, 4) || in(0, 8))
    return Reach::link_local;
  if (in(0x0A000000, 8) || in(0xAC100000, 12) || in(0xC0A80000, 16) || in(0x64400000, 10))
    return Reach::private_;
  return Reach::public_;
}

struct CurlFree {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
  void operator()(char* text) const { curl_free(text); }
};
using Url = std::unique_ptr<CURLU, CurlFree>;

std::string part(CURLU* url, CURLUPart which, unsigned flags) {
  char* text = nullptr;
  if (curl_url_get(url, which, &text, flags) != CURLUE_OK) return {};
  const std::unique_ptr<char, CurlFree> owner{text};
  return text;
}

}  // namespace

Reach reach_of(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &address, sizeof in);
    return reach_of_v4(ntohl(in.sin_addr.s_addr));
  }
  if (address.sa_family != AF_INET6) return Reach::link_local;
  sockaddr_in6 in6{};
  std::memcpy(&in6, &address, sizeof in6);
  const auto* bytes = in6.sin6_addr.s6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr) || IN6_IS_ADDR_V4COMPAT(&in6.sin6_addr)) {
    if (IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr)) return Reach::loopback;
    std::uint32_t v4 = 0;
    std::memcpy(&v4, bytes + 12, 4);
    return reach_of_v4(ntohl(v4));
  }
  if (IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr)) return Reach::loopback;
  if (IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr) || IN6_IS_ADDR_MULTICAST(&in6.sin6_addr))
    return Reach::link_local;
  if ((bytes[0] & 0xFEU) == 0xFCU) return Reach::private_;
  return Reach::public_;
}

Result<std::string> origin_of(const std::string& url) {
  const Url handle{curl_url()};
  if (!handle || curl_url_set(handle.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK)
    return Error{Errc::redirect, "malformed address"};
  std::string host = part(handle.get(), CURLUPART_HOST, 0);
  for (auto& c : host) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return fmt::format("{}://{}:{}", part(handle.get(), CURLUPART_SCHEME, 0), host,
                     part(handle.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT));
}

Result<std::string> resolve_url(const std::string& base, const std::string& location) {
  const Url handle{curl_url()};
  if (!handle || curl_url_set(handle.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK ||
      curl_url_set(handle.get(), CURLUPART_URL, location.c_str(), 0) != CURLUE_OK)
    return Error{Errc::redirect, "malformed redirect"};
  // A user name or password in a redirect would be sent along.
  curl_url_set(handle.get(), CURLUPART_USER, nullptr, 0);
  curl_url_set(handle.get(), CURLUPART_PASSWORD, nullptr, 0);
  curl_url_set(handle.get(), CURLUPART_FRAGMENT, nullptr, 0);
  std::string url = part(handle.get(), CURLUPART_URL, 0);
  if (url.empty()) return Error{Errc::redirect, "malformed redirect"};
  return url;
}

std::string host_of(const std::string& url) {
  const Url handle{curl_url()};
  if (!handle ||
      curl_url_set(handle.get(), CURLUPART_URL, url.c_str(), CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
    return "?";
  const std::string port = part(handle.get(), CURLUPART_PORT, 0);
  return printable(part(handle.get(), CURLUPART_HOST, 0) + (port.empty() ? "" : ":" + port));
}

}  // namespace holdfast::net
