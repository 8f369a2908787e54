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

/// The last absolute path in a line, as programs name themselves first and what they failed on
/// last; empty without one.
std::string path_in(std::string_view line) {
  constexpr std::string_view kEnd = " \t\"'`:,;()[]<>";
  for (std::size_t at = line.rfind('/'); at != std::string_view::npos && at != 0;
       at = at == 0 ? std::string_view::npos : line.rfind('/', at - 1)) {
    if (kEnd.find(line[at - 1]) == std::string_view::npos) continue;
    const auto end = line.find_first_of(kEnd, at);
    const auto path = line.substr(at, end == std::string_view::npos ? end : end - at);
    if (path.size() > 1) return printable(path);
  }
  if (!line.starts_with('/')) return {};
  return printable(line.substr(0, line.find_first_of(kEnd)));
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

bool is_at_or_below(std::string_view path, std::string_view place) {
  return path.starts_with(place) && (path.size() == place.size() || path[place.size()] == '/');
}

/// One line of a program, seen twice: as it is, for paths, and in lower case, for words.
struct Line {
  std::string_view original;
  std::string low;
  [[nodiscard]] bool has(std::string_view word) const {
    return low.find(word) != std::string::npos;
  }
};

std::string for_read_only(const proto::Security& security, const Line& line) {
  if (!line.has("read-only file system") && !line.has("erofs")) return {};
  const auto path = path_in(line.original);
  if (!security.read_only)
    return path.empty()
               ? std::string{}
               : fmt::format("{} lies in a read-only volume: leave its read_only out", path);
  if (path.empty())
    return "the root is read-only: add a volume or tmpfs for the path, or security: {read_only: "
           "false}";
  return fmt::format(
      "{} is read-only: add tmpfs: [{}], a volume for it, or security: {{read_only: false}}", path,
      directory_of(path));
}

/// A tmpfs that is full: 64 MiB where the document says no size (service_mounts.cpp).
std::string for_no_space(const Line& line) {
  if (!line.has("no space left on device") && !line.has("enospc")) return {};
  const bool shared = line.has("shared memory") || line.has("/dev/shm") || line.has("shm_open");
  if (shared)
    return "/dev/shm is full, it holds 64 MiB unless the document says more: add shm_size: 256MiB";
  const auto path = path_in(line.original);
  for (const std::string_view place : {"/tmp", "/run"})
    if (is_at_or_below(path, place))
      return fmt::format(
          "{0} is full, it holds 64 MiB unless the document says more: add tmpfs: "
          "[{{target: {0}, size: 256MiB}}], or a volume for it",
          place);
  return {};
}

std::string for_open_files(const Line& line) {
  if (!line.has("too many open files") && !line.has("emfile")) return {};
  return "it may have 65536 files open unless the document says more: add ulimits: {nofile: "
         "262144}";
}

/// What a tmpfs of the hardened profile does not run.
std::string for_no_exec(const proto::Security& security, const Line& line) {
  const bool runs = line.has("failed to map segment") || line.has("cannot execute") ||
                    line.has("error=13") || line.has("exec format") || line.has("exec:") ||
                    line.has("execve") || line.has("fork/exec") || line.has("unsatisfiedlink") ||
                    // Everybody may write there, so what is denied is to run it.
                    line.has("permission denied");
  const auto path = path_in(line.original);
  if (security.profile != proto::Profile::hardened || !runs || path.empty()) return {};
  for (const std::string_view place : {"/tmp", "/run", "/dev/shm"})
    if (is_at_or_below(path, place))
      return fmt::format(
          "nothing is executed from {0}, a tmpfs of the hardened profile: add "
          "volumes: [{{source: scratch, target: {0}}}], or point the program to "
          "another directory",
          place);
  return {};
}

std::string for_permission(const Line& line) {
  const bool forbidden = line.has("operation not permitted") || line.has("eperm");
  const bool denied = line.has("permission denied") || line.has("eacces");
  if (!forbidden && !denied) return {};
  for (const auto& sign : kSigns)
    if (line.has(sign.word) && (forbidden || sign.word == "bind"))
      return fmt::format(
          "a capability is missing: add security: {{cap_add: [{}]}}, or run it as the user it "
          "wants to become",
          sign.capability);
  const auto path = path_in(line.original);
  if (!denied || path.empty()) return {};
  return fmt::format(
      "{} is not accessible to its user: change security.user, or the owner of the volume", path);
}

std::string for_line(const proto::Security& security, std::string_view original) {
  const Line line{original, lower(original)};
  for (auto found : {for_read_only(security, line), for_no_space(line), for_open_files(line),
                     for_no_exec(security, line)})
    if (!found.empty()) return found;
  return for_permission(line);
}

}  // namespace

std::string advice(const proto::Security& security, const plan::ExitInfo& exit,
                   const std::vector<std::string>& last_lines) {
  constexpr int kBadSystemCall = 128 + 31;
  constexpr int kBusError = 128 + 7;
  if (exit.oom) return "it ran out of memory: raise resources.memory";
  if (exit.code == kBadSystemCall && security.seccomp)
    return "a system call of another ABI was refused: a 32-bit program needs security: {seccomp: "
           "false}";
  for (auto line = last_lines.rbegin(); line != last_lines.rend(); ++line)
    if (auto found = for_line(security, *line); !found.empty()) return found;
  if (exit.code == kBusError)
    return "it ended with a bus error, as when /dev/shm is full, which holds 64 MiB: add tmpfs: "
           "[{target: /dev/shm, size: 256MiB}]";
  return {};
}

}  // namespace holdfast::deploy::runtime
