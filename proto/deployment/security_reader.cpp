#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "proto/deployment/other_words.hpp"
#include "proto/deployment/readers.hpp"
#include "proto/yaml/scalars.hpp"

namespace holdfast::proto {
namespace {

constexpr std::array<std::string_view, 7> kSecurityKeys{
    "profile", "read_only", "user", "group_add", "cap_add", "no_new_privileges", "seccomp"};
constexpr std::array<std::string_view, 2> kProfiles{"hardened", "compatible"};
constexpr std::size_t kMostGroups = 32;

void read_user(yaml::Fields& fields, json::Object& canon, Security& security) {
  const auto user = fields.text("user");
  if (!user ||
      !accept(fields.findings(), user->mark, fields.path("user"), rules::check_user(user->value)))
    return;
  security.user = user->value;
  canon.set("user", user->value);
}

void read_capabilities(yaml::Fields& fields, json::Object& canon, Security& security) {
  const auto items = fields.texts("cap_add");
  if (!items) return;
  for (std::size_t i = 0; i < items->size(); ++i) {
    const auto& [value, mark] = (*items)[i];
    const auto where = fmt::format("{}[{}]", fields.path("cap_add"), i);
    if (!accept(fields.findings(), mark, where, rules::check_capability(value))) continue;
    auto name = value.starts_with("CAP_") ? value.substr(4) : value;
    if (std::find(security.cap_add.begin(), security.cap_add.end(), name) !=
        security.cap_add.end()) {
      fields.findings().error(mark, fmt::format("{} repeats {}", where, name));
      continue;
    }
    security.cap_add.push_back(std::move(name));
  }
  std::sort(security.cap_add.begin(), security.cap_add.end());
  if (!security.cap_add.empty()) canon.set_raw("cap_add", json::strings(security.cap_add));
}

void read_groups(yaml::Fields& fields, json::Object& canon, Security& security) {
  const auto items = fields.texts("group_add");
  if (!items) return;
  if (items->size() > kMostGroups) {
    fields.findings().error(
        fields.value_mark("group_add"),
        fmt::format("{} has more than {} entries", fields.path("group_add"), kMostGroups));
    return;
  }
  auto& groups = security.group_add;
  for (std::size_t i = 0; i < items->size(); ++i) {
    const auto& [value, mark] = (*items)[i];
    const auto where = fmt::format("{}[{}]", fields.path("group_add"), i);
    if (!accept(fields.findings(), mark, where, rules::check_group(value))) continue;
    if (std::find(groups.begin(), groups.end(), value) != groups.end()) {
      fields.findings().error(mark, fmt::format("{} repeats {}", where, value));
      continue;
    }
    groups.push_back(value);
  }
  std::sort(groups.begin(), groups.end());
  if (!groups.empty()) canon.set_raw("group_add", json::strings(groups));
}

/// What a reader of the plan must see: every step down from `hardened`.
std::vector<std::string> relaxations(const Service& service) {
  const auto& security = service.security;
  std::vector<std::string> found;
  if (security.profile == Profile::compatible) found.emplace_back("profile compatible");
  if (!security.read_only) found.emplace_back("read_only false");
  if (security.user && rules::is_root_user(*security.user))
    found.push_back("user " + *security.user);
  for (const auto& capability : security.cap_add) found.push_back("cap_add " + capability);
  if (!security.no_new_privileges) found.emplace_back("no_new_privileges false");
  if (!security.seccomp) found.emplace_back("seccomp false");
  if (service.network == NetworkMode::host) found.emplace_back("network host");
  // Its processes, their children and whoever may look into /proc see it.
  for (const auto& [name, source] : service.env_from)
    if (source.kind == EnvSource::Kind::secret)
      found.push_back(fmt::format("env {} from secret {}", name, source.name));
  for (const auto& device : service.devices)
    found.push_back(fmt::format("device {} {}", device.source, device.access));
  // Priority over everything else on the host.
  for (const auto* limit : {"nice", "rtprio"})
    if (service.ulimits.contains(limit)) found.push_back(fmt::format("ulimits {}", limit));
  if (security.profile == Profile::hardened)
    for (const auto& mount : service.tmpfs)
      if (mount.exec.value_or(false)) found.push_back("tmpfs exec " + mount.target);
  return found;
}

}  // namespace

void read_security(yaml::Fields& service, ServiceDraft& draft) {
  auto& security = draft.service.security;
  if (const auto* node = service.find("security")) {
    yaml::Fields fields{*node, service.path("security"), kSecurityKeys, service.findings(),
                        security_words()};
    json::Object canon;
    if (const auto profile = fields.choice("profile", kProfiles)) {
      security.profile = static_cast<Profile>(*profile);
      canon.set("profile", kProfiles[*profile]);
    }
    security.read_only = security.profile == Profile::hardened;
    take(canon, "read_only", fields.flag("read_only"), security.read_only);
    take(canon, "no_new_privileges", fields.flag("no_new_privileges"), security.no_new_privileges);
    take(canon, "seccomp", fields.flag("seccomp"), security.seccomp);
    read_user(fields, canon, security);
    read_groups(fields, canon, security);
    read_capabilities(fields, canon, security);
    draft.canon.set("security", canon);
  }
  security.relaxations = relaxations(draft.service);
}

}  // namespace holdfast::proto
