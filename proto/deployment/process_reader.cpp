#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "proto/deployment/compose_forms.hpp"
#include "proto/deployment/readers.hpp"
#include "proto/yaml/scalars.hpp"

namespace holdfast::proto {
namespace {

// setrlimit(2). Those in bytes may be written with a unit.
constexpr std::array<std::string_view, 16> kUlimits{
    "as",   "core",   "cpu",   "data", "fsize",  "locks",  "memlock",    "msgqueue",
    "nice", "nofile", "nproc", "rss",  "rtprio", "rttime", "sigpending", "stack"};
constexpr std::array<std::string_view, 8> kByteUlimits{"as",  "core",    "data",     "fsize",
                                                       "rss", "memlock", "msgqueue", "stack"};
constexpr std::array<std::string_view, 2> kPairKeys{"soft", "hard"};
constexpr yaml::Alias kUlimitWords[] = {
    {"RLIMIT_NOFILE", "did you mean \"nofile\"?"},
    {"RLIMIT_NPROC", "did you mean \"nproc\"?"},
    {"open_files", "did you mean \"nofile\"?"},
};
constexpr std::string_view kUnlimitedWord = "unlimited";
constexpr std::uint64_t kMostOfUlimit = 1ULL << 53;  ///< exact in every JSON reader
constexpr Bytes kLeastShm{4096};
constexpr std::size_t kMostSysctls = 64;
constexpr std::size_t kLongestSysctl = 256;

bool is_one_of(std::string_view word, std::span<const std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// A number, a size where the limit is one, or "unlimited".
std::optional<std::uint64_t> read_limit(yaml::Fields& fields, std::string_view key, bool bytes) {
  const auto* node = fields.find(key);
  if (node == nullptr) return std::nullopt;
  if (node->kind == yaml::Kind::scalar && node->text == kUnlimitedWord) return kUnlimited;
  const auto number =
      node->kind == yaml::Kind::scalar ? yaml::parse_integer(node->text) : std::nullopt;
  if (number && *number <= kMostOfUlimit) return number;
  if (const auto size =
          bytes && node->kind == yaml::Kind::scalar ? yaml::parse_size(node->text) : std::nullopt)
    return size->value();
  fields.findings().error(
      node->mark,
      fmt::format("{} must be {} or unlimited, not {}", fields.path(key),
                  bytes ? "a number of bytes, a size" : "a whole number", yaml::value_text(*node)),
      node->text == "-1" ? "write unlimited" : "");
  return std::nullopt;
}

void set_limit(json::Object& canon, std::string_view key, std::uint64_t value) {
  if (value == kUnlimited) {
    canon.set(key, kUnlimitedWord);
  } else {
    canon.set(key, value);
  }
}

/// One number for both, or a mapping with each.
std::optional<Ulimit> read_ulimit(yaml::Fields& limits, std::string_view key) {
  const auto* node = limits.find(key);
  if (node == nullptr) return std::nullopt;
  const bool bytes = is_one_of(key, kByteUlimits);
  if (node->kind != yaml::Kind::mapping) {
    const auto both = read_limit(limits, key, bytes);
    return both ? std::optional{Ulimit{.soft = *both, .hard = *both}} : std::nullopt;
  }
  yaml::Fields pair{*node, limits.path(key), kPairKeys, limits.findings()};
  for (const auto side : kPairKeys) pair.require(side, "write {soft: 1024, hard: 65536}");
  const auto soft = read_limit(pair, "soft", bytes);
  const auto hard = read_limit(pair, "hard", bytes);
  if (!soft || !hard) return std::nullopt;
  if (*soft > *hard) {
    limits.findings().error(
        node->mark, fmt::format("{} has a soft limit above its hard one", limits.path(key)));
    return std::nullopt;
  }
  return Ulimit{.soft = *soft, .hard = *hard};
}

void read_ulimits(yaml::Fields& service, ServiceDraft& draft) {
  const auto* node = service.find("ulimits");
  if (node == nullptr) return;
  yaml::Fields fields{*node, service.path("ulimits"), kUlimits, service.findings(), kUlimitWords};
  if (node->kind != yaml::Kind::mapping) return;
  json::Object canon;
  for (const auto key : kUlimits) {
    const auto limit = read_ulimit(fields, key);
    if (!limit) continue;
    json::Object pair;
    set_limit(pair, "soft", limit->soft);
    set_limit(pair, "hard", limit->hard);
    canon.set(key, pair);
    draft.service.ulimits.emplace(key, *limit);
  }
  if (draft.service.ulimits.contains("nproc"))
    service.findings().warning(
        fields.mark("nproc"),
        fmt::format("{} counts every process of its user on this host, not those of the service",
                    fields.path("nproc")),
        "write resources: {pids: …} for a limit of its own");
  if (!draft.service.ulimits.empty()) draft.canon.set("ulimits", canon);
}

/// What the name of a sysctl must be, and why others are refused.
rules::Verdict check_sysctl(std::string_view name, NetworkMode network) {
  constexpr std::array<std::string_view, 8> kIpc{
      "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
      "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"};
  const bool clean =
      name.size() <= kLongestSysctl && !name.empty() && name.front() != '.' && name.back() != '.' &&
      name.find("..") == std::string_view::npos &&
      std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
      });
  if (!clean)
    return rules::Fault{"is not the name of a sysctl", "write it with dots: net.core.somaxconn"};
  if (is_one_of(name, kIpc) || name.starts_with("fs.mqueue.")) return std::nullopt;
  if (!name.starts_with("net."))
    return rules::Fault{"is one for the whole host, which a service may not change",
                        "set it on the host, in /etc/sysctl.d"};
  if (network == NetworkMode::host)
    return rules::Fault{"is the host's own with network host",
                        "set it on the host, or use network: private"};
  return std::nullopt;
}

/// As the kernel takes it: a text, or a number as it is written.
std::optional<std::string> sysctl_value(const yaml::Node& node, const std::string& where,
                                        yaml::Findings& findings) {
  if (node.kind == yaml::Kind::scalar && node.style == yaml::Style::plain &&
      yaml::parse_integer(node.text))
    return node.text;
  const auto text = yaml::as_text(node, where, findings);
  if (!text) return std::nullopt;
  const bool printable = !text->value.empty() && text->value.size() <= kLongestSysctl &&
                         std::all_of(text->value.begin(), text->value.end(),
                                     [](char c) { return c >= ' ' && c <= '~'; });
  if (printable) return text->value;
  findings.error(text->mark, fmt::format("{} must be 1 to {} printable characters of ASCII", where,
                                         kLongestSysctl));
  return std::nullopt;
}

void read_sysctls(yaml::Fields& fields, ServiceDraft& draft) {
  if (refuse_form(fields, "sysctls", yaml::Kind::sequence, "a mapping of names to values",
                  compose::sysctls_hint))
    return;
  const auto* node = fields.find("sysctls");
  if (node == nullptr) return;
  if (node->kind != yaml::Kind::mapping || node->members.size() > kMostSysctls) {
    fields.findings().error(node->mark, fmt::format("{} must be a mapping of at most {} names",
                                                    fields.path("sysctls"), kMostSysctls));
    return;
  }
  json::Object canon;
  for (const auto& [name, mark, value] : node->members) {
    const auto where = fmt::format("{}.{}", fields.path("sysctls"), yaml::shown(name));
    if (!accept(fields.findings(), mark, where, check_sysctl(name, draft.service.network)))
      continue;
    const auto text = sysctl_value(value, where, fields.findings());
    if (!text) continue;
    draft.service.sysctls.emplace(name, *text);
    canon.set(name, *text);
  }
  if (!draft.service.sysctls.empty()) draft.canon.set("sysctls", canon);
}

}  // namespace

void read_process(yaml::Fields& fields, ServiceDraft& draft) {
  take(draft.canon, "init", fields.flag("init"), draft.service.init);
  read_ulimits(fields, draft);
  read_sysctls(fields, draft);
  take(draft.canon, "shm_size", fields.size("shm_size", kLeastShm), draft.service.shm_size);
  const auto& tmpfs = draft.service.tmpfs;
  const bool twice = draft.service.shm_size &&
                     std::any_of(tmpfs.begin(), tmpfs.end(),
                                 [](const auto& mount) { return mount.target == "/dev/shm"; });
  if (twice)
    fields.findings().error(
        fields.mark("shm_size"),
        fmt::format("{} and a tmpfs on /dev/shm say both how large it is", fields.path("shm_size")),
        "keep one of them");
}

}  // namespace holdfast::proto
