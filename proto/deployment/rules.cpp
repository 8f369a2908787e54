#include "proto/deployment/rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/base/text.hpp"
#include "proto/yaml/fields.hpp"
#include "proto/yaml/scalars.hpp"

namespace holdfast::proto::rules {
namespace {

constexpr std::size_t kMaxName = 63;
constexpr std::size_t kMaxPath = 4095;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower_alnum(char c) { return is_digit(c) || (c >= 'a' && c <= 'z'); }
bool is_alnum(char c) { return is_lower_alnum(c) || (c >= 'A' && c <= 'Z'); }

template <class Accept>
bool all(std::string_view text, Accept accept) {
  return !text.empty() && std::all_of(text.begin(), text.end(), accept);
}

bool is_one_of(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }

constexpr std::array<std::string_view, 31> kSignals{
    "SIGHUP",  "SIGINT",    "SIGQUIT", "SIGILL",   "SIGTRAP", "SIGABRT", "SIGBUS",  "SIGFPE",
    "SIGKILL", "SIGUSR1",   "SIGSEGV", "SIGUSR2",  "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT",
    "SIGCHLD", "SIGCONT",   "SIGSTOP", "SIGTSTP",  "SIGTTIN", "SIGTTOU", "SIGURG",  "SIGXCPU",
    "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO",   "SIGPWR",  "SIGSYS"};

// capabilities(7), Linux 6.1.
constexpr std::array<std::string_view, 41> kCapabilities{
    "AUDIT_CONTROL",   "AUDIT_READ",   "AUDIT_WRITE",
    "BLOCK_SUSPEND",   "BPF",          "CHECKPOINT_RESTORE",
    "CHOWN",           "DAC_OVERRIDE", "DAC_READ_SEARCH",
    "FOWNER",          "FSETID",       "IPC_LOCK",
    "IPC_OWNER",       "KILL",         "LEASE",
    "LINUX_IMMUTABLE", "MAC_ADMIN",    "MAC_OVERRIDE",
    "MKNOD",           "NET_ADMIN",    "NET_BIND_SERVICE",
    "NET_BROADCAST",   "NET_RAW",      "PERFMON",
    "SETFCAP",         "SETGID",       "SETPCAP",
    "SETUID",          "SYSLOG",       "SYS_ADMIN",
    "SYS_BOOT",        "SYS_CHROOT",   "SYS_MODULE",
    "SYS_NICE",        "SYS_PACCT",    "SYS_PTRACE",
    "SYS_RAWIO",       "SYS_RESOURCE", "SYS_TIME",
    "SYS_TTY_CONFIG",  "WAKE_ALARM"};

bool is_realtime_signal(std::string_view text) {
  const bool up = text.starts_with("SIGRTMIN");
  if (!up && !text.starts_with("SIGRTMAX")) return false;
  text.remove_prefix(std::string_view{"SIGRTMIN"}.size());
  if (text.empty()) return true;
  const auto offset = yaml::parse_integer(text.substr(1));
  return text.front() == (up ? '+' : '-') && offset && *offset <= 30;
}

Verdict check_user_part(std::string_view part) {
  if (part.empty()) return Fault{"has an empty part", "write \"uid:gid\" or \"uid\""};
  if (is_digit(part.front()) || part.front() == '-' || part.front() == '+') {
    const auto number = yaml::parse_integer(part);
    if (!number || *number > 2'147'483'647)
      return Fault{
          fmt::format("has the id {}, which is not between 0 and 2147483647", yaml::shown(part)),
          ""};
    return std::nullopt;
  }
  const bool good = part.size() <= 32 && part.front() != '.' &&
                    all(part, [](char c) { return is_alnum(c) || is_one_of(c, "_.-"); });
  if (good) return std::nullopt;
  return Fault{fmt::format("has \"{}\", which is neither an id nor a name", yaml::shown(part)), ""};
}

bool is_numeric_identifier(std::string_view text) {
  return all(text, is_digit) && (text.size() == 1 || text.front() != '0');
}

bool is_semver_identifiers(std::string_view text, bool (*accept)(std::string_view)) {
  const auto parts = split(text, '.');
  return std::all_of(parts.begin(), parts.end(), [&](std::string_view part) {
    return all(part, [](char c) { return is_alnum(c) || c == '-'; }) && accept(part);
  });
}

}  // namespace

bool is_name(std::string_view text) {
  return text.size() <= kMaxName &&
         all(text, [](char c) { return is_lower_alnum(c) || c == '-'; }) && text.front() != '-' &&
         text.back() != '-';
}

bool is_item_name(std::string_view text) {
  return text.size() <= kMaxName && !text.empty() && is_lower_alnum(text.front()) &&
         all(text, [](char c) { return is_lower_alnum(c) || is_one_of(c, "_.-"); });
}

bool is_file_name(std::string_view text) {
  constexpr std::size_t kMaxFileName = 253;  // and a few for the name it is written under
  return text.size() <= kMaxFileName && !text.empty() && !is_one_of(text.front(), ".-") &&
         all(text, [](char c) { return is_alnum(c) || is_one_of(c, "_.-"); });
}

bool is_label(std::string_view text) {
  return text.size() <= kMaxName && !text.empty() && is_alnum(text.front()) &&
         all(text, [](char c) { return is_alnum(c) || is_one_of(c, "_./-"); });
}

bool is_env_name(std::string_view text) {
  return text.size() <= 255 && !text.empty() && !is_digit(text.front()) &&
         !is_one_of(text.front(), ".-") &&
         all(text, [](char c) { return is_alnum(c) || is_one_of(c, "_.-"); });
}

bool is_at_or_below(std::string_view path, std::string_view prefix) {
  if (prefix == "/") return path.starts_with('/');
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

Verdict check_path(std::string_view text) {
  if (!text.starts_with('/')) return Fault{"must be an absolute path", "start it with /"};
  if (text.size() > kMaxPath)
    return Fault{fmt::format("is longer than {} characters", kMaxPath), ""};
  if (!all(text, [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != '\x7f'; }))
    return Fault{"contains control characters", ""};
  if (text == "/") return std::nullopt;
  for (const auto part : split(text.substr(1), '/')) {
    if (part.empty() || part == "." || part == "..")
      return Fault{"must be a clean path, without //, /./, /../ or a slash at the end", ""};
    if (part.size() > 255) return Fault{"has a part longer than 255 characters", ""};
  }
  return std::nullopt;
}

Verdict check_target(std::string_view text) {
  if (auto fault = check_path(text)) return fault;
  if (text == "/") return Fault{"must not be the root of the container", "mount a directory below"};
  if (is_at_or_below(text, "/dev/shm") && text != "/dev/shm") return std::nullopt;
  if (text == "/dev/shm") return std::nullopt;
  for (const auto prefix : {"/proc", "/sys", "/dev", "/run/secrets"}) {
    if (is_at_or_below(text, prefix))
      return Fault{fmt::format("must not be at or below {}, which the agent provides", prefix), ""};
  }
  for (const auto file : {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}) {
    if (text == file) return Fault{"must not be a file that the agent provides", ""};
  }
  return std::nullopt;
}

Verdict check_host_source(std::string_view text) {
  if (auto fault = check_path(text)) return fault;
  if (text == "/")
    return Fault{"must not be the root of the host", "mount the directory that is needed"};
  for (const auto prefix : {"/proc", "/sys", "/dev", "/run", "/var/run"}) {
    if (is_at_or_below(text, prefix))
      return Fault{fmt::format("must not be at or below {} of the host", prefix),
                   "containers get no host runtime directories, devices or kernel files"};
  }
  return std::nullopt;
}

Verdict check_user(std::string_view text) {
  const auto parts = split(text, ':');
  if (parts.size() > 2) return Fault{"has more than two parts", "write \"uid:gid\" or \"uid\""};
  for (const auto part : parts) {
    if (auto fault = check_user_part(part)) return fault;
  }
  return std::nullopt;
}

Verdict check_group(std::string_view text) {
  if (text.find(':') != std::string_view::npos)
    return Fault{"must be one group", "write \"10001\" or a name of the image's /etc/group"};
  return check_user_part(text);
}

std::optional<FileMode> parse_mode(std::string_view text) {
  const bool octal = (text.size() == 3 || text.size() == 4) &&
                     all(text, [](char c) { return c >= '0' && c <= '7'; });
  if (!octal) return std::nullopt;
  FileMode mode = 0;
  for (const char digit : text) mode = mode * 8 + static_cast<FileMode>(digit - '0');
  return mode;
}

std::string mode_text(FileMode mode) { return fmt::format("{:04o}", mode); }

bool is_root_user(std::string_view text) {
  const auto user = text.substr(0, text.find(':'));
  return user == "0" || user == "root";
}

Verdict check_signal(std::string_view text) {
  if (std::find(kSignals.begin(), kSignals.end(), text) != kSignals.end() ||
      is_realtime_signal(text))
    return std::nullopt;
  std::string upper{text};
  for (char& c : upper) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  if (!upper.starts_with("SIG")) upper.insert(0, "SIG");
  auto hint = yaml::did_you_mean(upper, kSignals);
  if (hint.empty()) hint = "write a name such as SIGTERM or SIGRTMIN+3";
  return Fault{fmt::format("is \"{}\", which is no signal", yaml::shown(text)), std::move(hint)};
}

Verdict check_capability(std::string_view text) {
  if (text == "ALL") return Fault{"must not be ALL", "name each capability that the program needs"};
  const auto bare = text.starts_with("CAP_") ? text.substr(4) : text;
  if (std::find(kCapabilities.begin(), kCapabilities.end(), bare) != kCapabilities.end())
    return std::nullopt;
  std::string upper{bare};
  for (char& c : upper) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return Fault{fmt::format("is \"{}\", which is no capability of Linux", yaml::shown(text)),
               yaml::did_you_mean(upper, kCapabilities)};
}

Status check_image_size(std::string_view image, Bytes size, std::optional<Bytes> most) {
  if (!most || size <= *most) return ok();
  return Error{Errc::policy,
               fmt::format("{} has {} in its layers, policy.images.max_size allows {}", image,
                           human_bytes(size.value()), human_bytes(most->value()))}
      .hint(
          "pin a smaller image, or raise max_size in the document and in agent.yaml: the smaller "
          "of the two counts");
}

bool is_semver(std::string_view text) {
  if (text.starts_with('v')) text.remove_prefix(1);
  const auto plus = text.find('+');
  if (plus != std::string_view::npos &&
      !is_semver_identifiers(text.substr(plus + 1), [](std::string_view) { return true; }))
    return false;
  text = text.substr(0, plus);
  const auto dash = text.find('-');
  if (dash != std::string_view::npos &&
      !is_semver_identifiers(text.substr(dash + 1), [](std::string_view part) {
        return !all(part, is_digit) || is_numeric_identifier(part);
      }))
    return false;
  const auto numbers = split(text.substr(0, dash), '.');
  return numbers.size() == 3 && std::all_of(numbers.begin(), numbers.end(), is_numeric_identifier);
}

}  // namespace holdfast::proto::rules
