#include "deploy/runtime/spec/seccomp.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>

#include "common/base/text.hpp"
#include "deploy/runtime/spec/seccomp_table.hpp"

namespace holdfast::deploy::runtime {
namespace {

constexpr std::uint32_t kAllBits = 0xFFFFFFFF;
/// AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET (which needs CAP_NET_RAW besides).
constexpr std::array<std::uint32_t, 5> kFamilies{1, 2, 10, 16, 17};
/// PER_LINUX, PER_LINUX32, UNAME26, PER_LINUX32 | UNAME26, and the query.
constexpr std::array<std::uint32_t, 5> kPersonalities{0, 8, 0x20000, 0x20008, kAllBits};
/// Every CLONE_NEW* flag that clone(2) takes.
constexpr std::uint32_t kNamespaceFlags = 0x7E020000;

void add_names(std::set<std::string>& to, std::string_view spaced) {
  for (const auto name : split(trim(spaced), ' ')) to.emplace(name);
}

std::vector<std::string> list(const std::set<std::string>& names) {
  return {names.begin(), names.end()};
}

/// Walks the binary tree of values from the top bit; a subtree without an allowed value is one
/// comparison.
void cover(std::uint32_t index, std::span<const std::uint32_t> allowed, int bits,
           std::uint32_t prefix, std::vector<MaskedArg>& out) {
  const std::uint32_t mask = bits == 0 ? 0 : kAllBits << (32 - bits);
  const bool any = std::any_of(allowed.begin(), allowed.end(),
                               [&](auto value) { return (value & mask) == prefix; });
  if (!any) {
    out.push_back({.index = index, .mask = mask, .value = prefix});
    return;
  }
  if (bits == 32) return;
  cover(index, allowed, bits + 1, prefix, out);
  cover(index, allowed, bits + 1, prefix | (1U << (31 - bits)), out);
}

void add_arguments(const std::string& call, std::span<const std::uint32_t> values,
                   std::vector<SeccompRule>& rules) {
  for (const auto value : values)
    rules.push_back({.names = {call},
                     .error = {},
                     .arg = MaskedArg{.index = 0, .mask = kAllBits, .value = value}});
}

}  // namespace

std::vector<MaskedArg> all_but(std::uint32_t index, std::span<const std::uint32_t> allowed) {
  std::vector<MaskedArg> out;
  cover(index, allowed, 0, 0, out);
  return out;
}

SeccompProfile seccomp_profile(const std::vector<std::string>& capabilities) {
  const auto has = [&](std::string_view name) {
    return std::find(capabilities.begin(), capabilities.end(), name) != capabilities.end();
  };
  std::set<std::string> allowed;
  std::set<std::string> forbidden;
  add_names(allowed, kAllowedCalls);
  add_names(allowed, kArchitectureCalls);
  add_names(forbidden, kForbiddenCalls);
  for (const auto& [capability, calls] : kCapabilityCalls)
    add_names(has(capability) ? allowed : forbidden, calls);
  const bool admin = has("CAP_SYS_ADMIN");
  if (admin) add_names(allowed, "clone clone3");
  std::erase_if(forbidden, [&](const auto& name) { return allowed.contains(name); });

  SeccompProfile profile{
      .default_error = ENOSYS, .architecture = std::string{kNativeArchitecture}, .rules = {}};
  profile.rules.push_back({.names = list(allowed), .error = {}, .arg = {}});
  profile.rules.push_back({.names = list(forbidden), .error = EPERM, .arg = {}});
  if (!admin) {
    // clone3 hides its flags in memory: ENOSYS makes libc use clone, whose flags can be judged.
    profile.rules.push_back({.names = {"clone"},
                             .error = {},
                             .arg = MaskedArg{.index = 0, .mask = kNamespaceFlags, .value = 0}});
  }
  add_arguments("personality", kPersonalities, profile.rules);
  add_arguments("socket", kFamilies, profile.rules);
  for (const auto& refused : all_but(0, kFamilies))
    profile.rules.push_back({.names = {"socket"}, .error = EPERM, .arg = refused});
  return profile;
}

}  // namespace holdfast::deploy::runtime
