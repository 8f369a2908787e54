#include "deploy/runtime/advice.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>

#include "common/base/text.hpp"

namespace holdfast::deploy::runtime {
namespace {

std::string lower(std::string_view text) {
  std::string out{text};
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

/// The first absolute path in a line; empty without one.
std::string path_in(std::string_view line) {
  constexpr std::string_view kEnd = " \t\"'`:,;()[]<>";
  for (std::size_t at = line.find('/'); at != std::string_view::npos; at = line.find('/', at + 1)) {
    const bool starts = at == 0 || kEnd.find(line[at - 1]) != std::string_view::npos;
    const auto end = line.find_first_of(kEnd, at);
    const auto path = line.substr(at, end == std::string_view::npos ? end : end - at);
    if (starts && path.size() > 1) return printable(path);
  }
  return {};
}

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? path : path.substr(0, slash);
}

struct Sign {
  std::string_view word;
  std::string_view capability;
};
/// What programs say when they try what needs a capability.
constexpr Sign kSigns[] = {
    {"setgroups", "SETGID, SETUID"},
    {"initgroups", "SETGID, SETUID"},
    {"setgid", "SETGID, SETUID"},
    {"setuid", "SETGID, SETUID"},
    {"chown", "CHOWN"},
    {"chroot", "SYS_CHROOT"},
    {"bind", "NET_BIND_SERVICE"},
    {"raw socket", "NET_RAW"},
    {"ping", "NET_RAW"},
    {"setpriority", "SYS_NICE"},
    {"sched_set", "SYS_NICE"},
    {"mlock", "IPC_LOCK"},
    {"iptables", "NET_ADMIN"},
    {"setcap", "SETFCAP"},
    {"mknod", "MKNOD"},
};

std::string for_line(const proto::Security& security, std::string_view original) {
  const auto line = lower(original);
  const auto has = [&](std::string_view word) { return line.find(word) != std::string::npos; };
  if (security.read_only && has("read-only file system")) {
    const auto path = path_in(original);
    if (path.empty())
      return "the root is read-only: add a volume or tmpfs for the path, or security: {read_only: "
             "false}";
    return fmt::format(
        "{} is read-only: add tmpfs: [{}], a volume for it, or security: {{read_only: false}}",
        path, directory_of(path));
  }
  const bool forbidden = has("operation not permitted") || has("eperm");
  const bool denied = has("permission denied") || has("eacces");
  if (!forbidden && !denied) return {};
  for (const auto& sign : kSigns)
    if (has(sign.word) && (forbidden || sign.word == "bind"))
      return fmt::format(
          "a capability is missing: add security: {{cap_add: [{}]}}, or run it as the user it "
          "wants to become",
          sign.capability);
  if (!denied) return {};
  const auto path = path_in(original);
  if (path.empty()) return {};
  return fmt::format(
      "{} is not accessible to its user: change security.user, or the owner of the volume", path);
}

}  // namespace

std::string advice(const proto::Security& security, const plan::ExitInfo& exit,
                   const std::vector<std::string>& last_lines) {
  constexpr int kBadSystemCall = 128 + 31;
  if (exit.oom) return "it ran out of memory: raise resources.memory";
  if (exit.code == kBadSystemCall && security.seccomp)
    return "a system call of another ABI was refused: a 32-bit program needs security: {seccomp: "
           "false}";
  for (auto line = last_lines.rbegin(); line != last_lines.rend(); ++line)
    if (auto found = for_line(security, *line); !found.empty()) return found;
  return {};
}

}  // namespace holdfast::deploy::runtime
