#include "agent/daemon/asked_host.hpp"

#include <arpa/inet.h>
#include <strings.h>

#include <algorithm>

#include "common/base/text.hpp"

namespace holdfast::agent::daemon {
namespace {

bool is_address(int family, std::string_view text) {
  in6_addr unused{};
  return ::inet_pton(family, std::string{text}.c_str(), &unused) == 1;
}

bool is_port(std::string_view text) {
  constexpr std::uint64_t kHighest = 65535;
  const auto number = parse_number(text);
  return text.empty() || (number && *number <= kHighest);
}

}  // namespace

bool is_asked_for(std::string_view host, std::span<const std::string> names) {
  if (host.starts_with('[')) {
    const auto end = host.find(']');
    if (end == std::string_view::npos) return false;
    const auto rest = host.substr(end + 1);
    return is_address(AF_INET6, host.substr(1, end - 1)) &&
           (rest.empty() || (rest.front() == ':' && is_port(rest.substr(1))));
  }
  const auto colon = host.find(':');
  if (colon != std::string_view::npos && !is_port(host.substr(colon + 1))) return false;
  host = host.substr(0, colon);
  if (is_address(AF_INET, host)) return true;
  if (host.ends_with('.')) host.remove_suffix(1);
  return std::any_of(names.begin(), names.end(), [&](const auto& name) {
    return !name.empty() && name.size() == host.size() &&
           ::strncasecmp(name.data(), host.data(), host.size()) == 0;
  });
}

}  // namespace holdfast::agent::daemon
