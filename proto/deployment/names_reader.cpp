#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "proto/deployment/readers.hpp"
#include "proto/yaml/scalars.hpp"

namespace holdfast::proto {
namespace {

constexpr std::size_t kMostServers = 3;  ///< MAXNS of resolv.conf(5)
constexpr std::size_t kMostDomains = 6;  ///< MAXDNSRCH of glibc before 2.26, and of musl
constexpr std::size_t kMostHosts = 64;

bool is_address(const std::string& text) {
  std::array<unsigned char, sizeof(in6_addr)> ignored{};
  return ::inet_pton(AF_INET, text.c_str(), ignored.data()) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), ignored.data()) == 1;
}

/// Labels of letters, digits, - and _ (as in _tcp) between dots.
bool is_domain(std::string_view text) {
  if (text.empty() || text.size() > 253 || text.front() == '.' || text.front() == '-' ||
      text.find("..") != std::string_view::npos)
    return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

template <class Good>
void read_list(yaml::Fields& fields, std::string_view key, std::size_t most, Good good,
               std::string_view what, json::Object& canon, std::vector<std::string>& into) {
  const auto items = fields.texts(key);
  if (!items) return;
  if (items->size() > most)
    fields.findings().error(fields.value_mark(key),
                            fmt::format("{} has more than {} entries", fields.path(key), most));
  for (std::size_t i = 0; i < items->size(); ++i) {
    const auto& [value, mark] = (*items)[i];
    if (good(value)) {
      into.push_back(value);
    } else {
      fields.findings().error(mark, fmt::format("{}[{}] is \"{}\", not {}", fields.path(key), i,
                                                yaml::shown(value), what));
    }
  }
  if (!into.empty()) canon.set_raw(key, json::strings(into));
}

void read_extra_hosts(yaml::Fields& fields, ServiceDraft& draft) {
  const auto entries = fields.text_map("extra_hosts");
  if (!entries) return;
  const auto path = fields.path("extra_hosts");
  if (entries->size() > kMostHosts)
    fields.findings().error(fields.value_mark("extra_hosts"),
                            fmt::format("{} has more than {} entries", path, kMostHosts));
  json::Object canon;
  for (const auto& [name, value] : *entries) {
    if (!is_domain(name.value) || name.value == "localhost") {
      fields.findings().error(name.mark, fmt::format("{}: \"{}\" is not a name for a host", path,
                                                     yaml::shown(name.value)));
    } else if (value.value != kHostGateway && !is_address(value.value)) {
      fields.findings().error(value.mark,
                              fmt::format("{}.{} is \"{}\", not an address", path, name.value,
                                          yaml::shown(value.value)),
                              "write 10.0.0.5, or host-gateway for this host");
    } else {
      draft.service.names.hosts.emplace(name.value, value.value);
      canon.set(name.value, value.value);
    }
  }
  draft.canon.set("extra_hosts", canon);
}

}  // namespace

void read_names(yaml::Fields& fields, ServiceDraft& draft) {
  auto& names = draft.service.names;
  read_list(fields, "dns", kMostServers, is_address, "an address", draft.canon, names.servers);
  read_list(
      fields, "dns_search", kMostDomains,
      [](const std::string& text) { return text == "." || is_domain(text); }, "a domain",
      draft.canon, names.search);
  read_extra_hosts(fields, draft);
  if (const auto text = fields.text("hostname")) {
    if (is_domain(text->value) && text->value.size() <= 63) {
      names.hostname = text->value;
      draft.canon.set("hostname", text->value);
    } else {
      fields.findings().error(text->mark,
                              fmt::format("{} is \"{}\", not a host name", fields.path("hostname"),
                                          yaml::shown(text->value)),
                              "letters, digits, - and ., at most 63");
    }
  }
  if (draft.service.network != NetworkMode::none) return;
  for (const std::string_view key : {"dns", "dns_search"})
    if (fields.has(key))
      fields.findings().error(fields.mark(key),
                              fmt::format("{} means nothing with network none", fields.path(key)));
}

}  // namespace holdfast::proto
