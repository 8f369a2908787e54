#include "deploy/runtime/spec/capabilities.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "common/base/text.hpp"

namespace holdfast::deploy::runtime {
namespace {

/// In the order of their numbers, linux/capability.h.
constexpr std::array<std::string_view, 41> kNames{"CHOWN",
                                                  "DAC_OVERRIDE",
                                                  "DAC_READ_SEARCH",
                                                  "FOWNER",
                                                  "FSETID",
                                                  "KILL",
                                                  "SETGID",
                                                  "SETUID",
                                                  "SETPCAP",
                                                  "LINUX_IMMUTABLE",
                                                  "NET_BIND_SERVICE",
                                                  "NET_BROADCAST",
                                                  "NET_ADMIN",
                                                  "NET_RAW",
                                                  "IPC_LOCK",
                                                  "IPC_OWNER",
                                                  "SYS_MODULE",
                                                  "SYS_RAWIO",
                                                  "SYS_CHROOT",
                                                  "SYS_PTRACE",
                                                  "SYS_PACCT",
                                                  "SYS_ADMIN",
                                                  "SYS_BOOT",
                                                  "SYS_NICE",
                                                  "SYS_RESOURCE",
                                                  "SYS_TIME",
                                                  "SYS_TTY_CONFIG",
                                                  "MKNOD",
                                                  "LEASE",
                                                  "AUDIT_WRITE",
                                                  "AUDIT_CONTROL",
                                                  "SETFCAP",
                                                  "MAC_OVERRIDE",
                                                  "MAC_ADMIN",
                                                  "SYSLOG",
                                                  "WAKE_ALARM",
                                                  "BLOCK_SUSPEND",
                                                  "AUDIT_READ",
                                                  "PERFMON",
                                                  "BPF",
                                                  "CHECKPOINT_RESTORE"};

/// The default set of Podman 4 (packaging/doc/security.md 3.1).
constexpr std::array<std::string_view, 11> kCompatible{
    "CHOWN",   "DAC_OVERRIDE", "FOWNER",  "FSETID", "KILL",      "NET_BIND_SERVICE",
    "SETFCAP", "SETGID",       "SETPCAP", "SETUID", "SYS_CHROOT"};

}  // namespace

Result<Capabilities> capabilities(const proto::Security& security, std::uint32_t uid) {
  std::set<std::string> names;
  std::set<std::string> ambient;
  if (security.profile == proto::Profile::compatible)
    for (const auto name : kCompatible) names.insert(fmt::format("CAP_{}", name));
  for (const std::string& added : security.cap_add) {
    if (std::find(kNames.begin(), kNames.end(), added) == kNames.end()) {
      const auto near = nearest(added, kNames);
      return Error{Errc::runtime, fmt::format("unknown capability {}", printable(added))}.hint(
          near.empty() ? "see capabilities(7) for the names"
                       : fmt::format("did you mean {}?", near));
    }
    names.insert("CAP_" + added);
    if (uid != 0) ambient.insert("CAP_" + added);
  }
  return Capabilities{.bounding = {names.begin(), names.end()},
                      .ambient = {ambient.begin(), ambient.end()}};
}

std::uint64_t capability_mask(const std::vector<std::string>& names) {
  std::uint64_t mask = 0;
  for (const std::string& name : names) {
    const auto found =
        std::find(kNames.begin(), kNames.end(),
                  std::string_view{name}.substr(std::min<std::size_t>(4, name.size())));
    if (found != kNames.end()) mask |= std::uint64_t{1} << (found - kNames.begin());
  }
  return mask;
}

}  // namespace holdfast::deploy::runtime
