#include "proto/deployment/other_words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/base/text.hpp"
#include "proto/yaml/scalars.hpp"

namespace holdfast::proto {
namespace {

constexpr std::string_view kSecurity = "write it under security";
constexpr std::string_view kByName = "services find each other by name already; leave it out";
constexpr std::string_view kHealth =
    "write health: {http: …}, {tcp: …}, {exec: […]} or {sd_notify: true}";
constexpr std::string_view kOwnName = "instances are named by the agent; leave it out";
constexpr std::string_view kNamespaces = "namespaces of the host or of others are not shared";
constexpr std::string_view kOne = "one instance of a service runs on a host; leave it out";
constexpr std::string_view kAgentLog = "the size of logs is log: {max_size: …} in agent.yaml";

constexpr yaml::Alias kDocumentWords[] = {
    // compose
    {"version", "write apiVersion: holdfast/v1"},
    {"volumes", "a volume is made when a service first names it; leave it out"},
    {"networks", "services find each other by name already; leave it out"},
    {"secrets", "write secrets in the services that have them"},
    {"configs", "write configs in the services that have them"},
    {"include", "write the services out"},
    {"models", "write the services out"},
    // Kubernetes
    {"kind", "leave it out: apiVersion says what it is"},
    {"metadata", "write name at the top"},
    {"spec", "write services at the top"},
};

constexpr yaml::Alias kServiceWords[] = {
    // compose
    {"environment", "did you mean \"env\"?"},
    {"healthcheck", "did you mean \"health\"?"},
    {"ports", "did you mean \"publish\"?"},
    {"expose", kByName},
    {"links", kByName},
    {"args", "did you mean \"command\"?"},
    {"network_mode", "did you mean \"network\"?"},
    {"networks", "did you mean \"network\"?"},
    {"restart_policy", "did you mean \"restart\"?"},
    {"update_config", "did you mean \"update\"?"},
    {"rollback_config", "did you mean \"update\"? A failed update goes back by itself"},
    {"user", "write security: {user: …}"},
    {"read_only", "write security: {read_only: …}"},
    {"cap_add", "write security: {cap_add: […]}"},
    {"cap_drop",
     "every capability is dropped already, but those of profile compatible; add with security: "
     "{cap_add: […]}"},
    {"security_opt", "did you mean \"security\"?"},
    {"privileged", "there are no privileged containers; add what is needed under security"},
    {"stop_signal", "write stop: {signal: …}"},
    {"stop_grace_period", "write stop: {timeout: …}"},
    {"mem_limit", "write resources: {memory: …}"},
    {"memory", "write resources: {memory: …}"},
    {"mem_reservation", "memory is not reserved; write resources: {memory: …} for a limit"},
    {"memswap_limit", "swap has no limit of its own; write resources: {memory: …}"},
    {"cpus", "write resources: {cpus: …}"},
    {"cpu_quota", "write resources: {cpus: …}"},
    {"cpu_shares", "there are no shares; write resources: {cpus: …} for a limit"},
    {"cpuset", "CPUs are not pinned; write resources: {cpus: …} for a limit"},
    {"pids_limit", "write resources: {pids: …}"},
    {"deploy", "write resources and update"},
    {"env_file", "write the values under env, and secrets as env: {NAME: {secret: …}}"},
    {"envFrom", "write the values under env, and secrets as env: {NAME: {secret: …}}"},
    {"configMap", "did you mean \"configs\"?"},
    {"build", "images are built elsewhere; write image with its digest"},
    {"annotations", "did you mean \"labels\"?"},
    {"Label", "did you mean \"labels\"?"},
    {"Annotation", "did you mean \"labels\"?"},
    {"gpus", "name each device: devices: [/dev/dri/renderD128]"},
    {"device_cgroup_rules", "name each device: devices: [{source: /dev/…, access: rw}]"},
    {"AddDevice", "did you mean \"devices\"?"},
    {"container_name", kOwnName},
    {"domainname", "write hostname: name.domain"},
    {"logging", kAgentLog},
    {"tty", "services have no terminal; leave it out"},
    {"stdin_open", "services have no terminal; leave it out"},
    {"ipc", kNamespaces},
    {"pid", kNamespaces},
    {"uts", kNamespaces},
    {"userns_mode", kNamespaces},
    {"cgroup_parent", "control groups are the agent's; write resources"},
    {"group_add", "write security: {group_add: […]}"},
    {"profiles", "hosts choose by targets at the top of the document"},
    {"platform", "the digest names the platform; leave it out"},
    {"pull_policy", "an image is pulled once, by its digest; leave it out"},
    {"imagePullPolicy", "an image is pulled once, by its digest; leave it out"},
    {"scale", kOne},
    {"replicas", kOne},
    {"volumes_from", "name the same volume in both services"},
    {"extends", "write the service out"},
    {"oom_kill_disable", "write resources: {memory: …}"},
    {"oom_score_adj", "write resources: {memory: …}"},
    // Kubernetes
    {"livenessProbe", kHealth},
    {"readinessProbe", kHealth},
    {"startupProbe", "write health: {…, start_period: …}"},
    {"securityContext", kSecurity},
    {"volumeMounts", "did you mean \"volumes\"?"},
    {"workingDir", "did you mean \"working_dir\"?"},
    {"restartPolicy", "did you mean \"restart\"?"},
    {"terminationGracePeriodSeconds", "write stop: {timeout: …}"},
    {"containers", "each container is a service of its own"},
    {"initContainers", "write hooks at the top of the document"},
    {"nodeSelector", "write targets at the top of the document"},
    {"hostNetwork", "write network: host"},
    // Quadlet
    {"Image", "did you mean \"image\"?"},
    {"Exec", "did you mean \"command\"?"},
    {"PublishPort", "did you mean \"publish\"?"},
    {"Volume", "did you mean \"volumes\"?"},
    {"Tmpfs", "did you mean \"tmpfs\"?"},
    {"Environment", "did you mean \"env\"?"},
    {"Secret", "did you mean \"secrets\"?"},
    {"Network", "did you mean \"network\"?"},
    {"User", "write security: {user: …}"},
    {"GroupAdd", "write security: {group_add: […]}"},
    {"RunInit", "did you mean \"init\"?"},
    {"ShmSize", "did you mean \"shm_size\"?"},
    {"Sysctl", "did you mean \"sysctls\"?"},
    {"Ulimit", "did you mean \"ulimits\"?"},
    {"AddCapability", "write security: {cap_add: […]}"},
    {"HealthCmd", kHealth},
    {"ContainerName", kOwnName},
    {"AutoUpdate", "an update is a document with another digest"},
};

constexpr yaml::Alias kSecurityWords[] = {
    {"privileged", "there are no privileged containers; add what is needed with cap_add"},
    {"cap_drop", "every capability is dropped already, but those of profile compatible"},
    {"capabilities", "did you mean \"cap_add\"?"},
    {"supplementalGroups", "did you mean \"group_add\"?"},
    {"sysctls", "write sysctls beside security"},
    {"runAsUser", "write user: \"uid:gid\""},
    {"runAsGroup", "write user: \"uid:gid\""},
    {"runAsNonRoot", "the hardened profile refuses root unless user says so; leave it out"},
    {"readOnlyRootFilesystem", "did you mean \"read_only\"?"},
    {"allowPrivilegeEscalation", "write no_new_privileges, which means the opposite"},
    {"seccompProfile", "did you mean \"seccomp\"? It is true or false"},
};

constexpr yaml::Alias kResourceWords[] = {
    {"limits", "write memory, cpus and pids right here; they are limits"},
    {"requests", "nothing is reserved; memory, cpus and pids are limits"},
    {"reservations", "nothing is reserved; memory, cpus and pids are limits"},
    {"mem", "did you mean \"memory\"?"},
    {"mem_limit", "did you mean \"memory\"?"},
    {"cpu", "did you mean \"cpus\"?"},
    {"pids_limit", "did you mean \"pids\"?"},
};

/// Without a value they stand alone; with one they are followed by "=".
constexpr std::array<std::string_view, 26> kMountOptions{
    "ro",     "rw",     "z",      "Z",     "cached", "delegated", "consistent", "nocopy", "exec",
    "noexec", "suid",   "nosuid", "dev",   "nodev",  "private",   "rprivate",   "shared", "rshared",
    "slave",  "rslave", "bind",   "rbind", "U",      "size",      "mode",       "uid"};

bool is_mount_option(std::string_view word) {
  return std::find(kMountOptions.begin(), kMountOptions.end(), word.substr(0, word.find('='))) !=
         kMountOptions.end();
}

bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

}  // namespace

std::span<const yaml::Alias> document_words() { return kDocumentWords; }
std::span<const yaml::Alias> service_words() { return kServiceWords; }
std::span<const yaml::Alias> security_words() { return kSecurityWords; }
std::span<const yaml::Alias> resource_words() { return kResourceWords; }

namespace rules {

Verdict check_literal(std::string_view text) {
  for (auto at = text.find('$'); at != std::string_view::npos && at + 2 < text.size();
       at = text.find('$', at)) {
    if (text[at + 1] == '$') {
      at += 2;
      continue;
    }
    const char close = text[at + 1] == '{' ? '}' : text[at + 1] == '(' ? ')' : '\0';
    const auto end = close == '\0' ? std::string_view::npos : text.find(close, at);
    if (end != std::string_view::npos && is_name_start(text[at + 2])) {
      const auto found = text.substr(at, end + 1 - at);
      return Fault{fmt::format("has {}, and nothing is put in its place", yaml::shown(found)),
                   fmt::format("write the value, a secret where it is one, or ${} to pass it on",
                               yaml::shown(found))};
    }
    ++at;
  }
  return std::nullopt;
}

std::string literal(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto rest = text.substr(i);
    if (rest.starts_with("$${") || rest.starts_with("$$(")) continue;
    out += text[i];
  }
  return out;
}

bool is_shell_flag(std::string_view argument) {
  return argument.size() >= 2 && argument.size() <= 6 && argument.front() == '-' &&
         argument[1] != '-' && argument.back() == 'c';
}

Verdict check_no_mount_options(std::string_view target) {
  auto end = target.rfind(':');
  if (end == std::string_view::npos) end = target.find(',');
  if (end == std::string_view::npos || end == 0) return std::nullopt;
  const auto options = target.substr(end + 1);
  const auto words = split(options, ',');
  if (!std::all_of(words.begin(), words.end(), is_mount_option)) return std::nullopt;
  const auto path = yaml::shown(target.substr(0, end));
  std::string hint;
  for (const auto word : words) {
    if (word == "ro") hint = fmt::format("write target: {} and read_only: true", path);
    if (word.starts_with("size=")) hint = fmt::format("write {{target: {}, size: 64MiB}}", path);
  }
  if (hint.empty()) hint = fmt::format("write target: {}", path);
  return Fault{fmt::format("has options after its path, {}", yaml::shown(options)),
               std::move(hint)};
}

Verdict check_no_compose_test(const std::vector<std::string>& command) {
  if (command.empty()) return std::nullopt;
  const auto& first = command.front();
  if (first == "CMD-SHELL")
    return Fault{"begins with CMD-SHELL, a word of compose files",
                 "write [\"/bin/sh\", \"-c\", \"…\"]"};
  if (first == "CMD") return Fault{"begins with CMD, a word of compose files", "leave CMD out"};
  if (first == "NONE" && command.size() == 1)
    return Fault{"is NONE, a word of compose files", "leave health out"};
  return std::nullopt;
}

}  // namespace rules
}  // namespace holdfast::proto
