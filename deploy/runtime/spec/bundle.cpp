#include "deploy/runtime/spec/bundle.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "deploy/runtime/spec/capabilities.hpp"

namespace holdfast::deploy::runtime {
namespace {

namespace json = boost::json;

/// The union of Docker's, containerd's and Podman's lists; the runtime passes over what does not
/// exist.
constexpr std::array<std::string_view, 14> kMasked{"/proc/acpi",
                                                   "/proc/asound",
                                                   "/proc/interrupts",
                                                   "/proc/kcore",
                                                   "/proc/keys",
                                                   "/proc/latency_stats",
                                                   "/proc/sched_debug",
                                                   "/proc/scsi",
                                                   "/proc/timer_list",
                                                   "/proc/timer_stats",
                                                   "/sys/devices/virtual/powercap",
                                                   "/sys/firmware",
                                                   "/sys/fs/selinux",
                                                   "/sys/dev/block"};
constexpr std::array<std::string_view, 5> kReadOnly{"/proc/bus", "/proc/fs", "/proc/irq",
                                                    "/proc/sys", "/proc/sysrq-trigger"};

template <class Range>
json::array strings(const Range& range) {
  json::array out;
  for (const auto& item : range) out.emplace_back(json::string_view{item.data(), item.size()});
  return out;
}

json::object capability_sets(const Capabilities& granted, std::uint32_t uid) {
  // Inheritable is what is ambient and no more: CVE-2022-24769, CVE-2022-29162.
  return {{"bounding", strings(granted.bounding)},
          {"effective", strings(granted.effective(uid))},
          {"permitted", strings(granted.effective(uid))},
          {"inheritable", strings(granted.ambient)},
          {"ambient", strings(granted.ambient)}};
}

/// The mask of one of the sets in a process of config.json.
std::uint64_t set_of(const json::object& process, std::string_view name) {
  std::vector<std::string> names;
  for (const auto& entry : process.at("capabilities").as_object().at(name).as_array())
    names.emplace_back(entry.as_string());
  return capability_mask(names);
}

json::object user_object(const User& user) {
  return {{"uid", user.uid},
          {"gid", user.gid},
          {"additionalGids", json::array(user.groups.begin(), user.groups.end())}};
}

json::array rlimits(const ProcessSpec& process, const HostFacts& host) {
  // 1,024, systemd's, is for programs that know of select(2) only; servers run out of it. Far more
  // makes those slow that close every number they could have opened.
  constexpr std::uint64_t kSoftFiles = 65'536;
  auto all = process.ulimits;
  all.try_emplace("nofile", proto::Ulimit{.soft = std::min(kSoftFiles, host.nofile_hard),
                                          .hard = host.nofile_hard});
  all.try_emplace("core", proto::Ulimit{});
  json::array out;
  for (const auto& [name, limit] : all) {  // RLIM_INFINITY is `kUnlimited`
    std::string type = "RLIMIT_";
    for (const char c : name) type += static_cast<char>(c - 'a' + 'A');
    out.push_back(json::object{{"type", type}, {"soft", limit.soft}, {"hard", limit.hard}});
  }
  return out;
}

json::object process_object(const ProcessSpec& process, const HostFacts& host) {
  return {{"terminal", false},
          {"user", user_object(process.user)},
          {"args", strings(process.args)},
          {"env", strings(process.env)},
          {"cwd", process.cwd},
          {"capabilities", capability_sets(process.capabilities, process.user.uid)},
          {"rlimits", rlimits(process, host)},
          {"noNewPrivileges", process.no_new_privileges},
          {"oomScoreAdj", host.oom_score_adj}};
}

json::array mount_array(const BundleSpec& spec) {
  json::array out;
  auto add = [&](const BundleMount& mount) {
    out.push_back(json::object{{"destination", mount.destination},
                               {"type", mount.type},
                               {"source", mount.source},
                               {"options", strings(mount.options)}});
  };
  for (const auto& mount : standard_mounts(spec.shm_bytes)) add(mount);
  for (const auto& mount : spec.mounts) add(mount);
  return out;
}

json::array namespaces(const BundleSpec& spec) {
  json::array out;
  for (const auto* type : {"mount", "pid", "ipc", "uts"})
    out.push_back(json::object{{"type", type}});
  if (spec.host.cgroup_namespace) out.push_back(json::object{{"type", "cgroup"}});
  if (spec.network == proto::NetworkMode::isolated)
    out.push_back(json::object{{"type", "network"}, {"path", spec.netns}});
  if (spec.network == proto::NetworkMode::none) out.push_back(json::object{{"type", "network"}});
  return out;
}

json::array device_rules(const std::vector<DeviceNode>& devices) {
  json::array rules{json::object{{"allow", false}, {"access", "rwm"}}};
  for (const auto& device : devices)
    rules.push_back(json::object{{"allow", true},
                                 {"type", std::string(1, device.type)},
                                 {"major", device.major},
                                 {"minor", device.minor},
                                 {"access", device.access}});
  return rules;
}

json::array device_nodes(const std::vector<DeviceNode>& devices) {
  json::array nodes;
  for (const auto& device : devices)
    nodes.push_back(json::object{{"path", device.path},
                                 {"type", std::string(1, device.type)},
                                 {"major", device.major},
                                 {"minor", device.minor},
                                 {"fileMode", device.mode},
                                 {"uid", device.uid},
                                 {"gid", device.gid}});
  return nodes;
}

json::object resources(const Limits& limits, const std::vector<DeviceNode>& devices) {
  json::object out{{"devices", device_rules(devices)},
                   {"pids", json::object{{"limit", limits.pids}}}};
  if (limits.memory_bytes) out["memory"] = json::object{{"limit", *limits.memory_bytes}};
  if (limits.millicpus)
    out["cpu"] = json::object{{"quota", std::uint64_t{*limits.millicpus} * (kCpuPeriodUs / 1000)},
                              {"period", kCpuPeriodUs}};
  return out;
}

json::object seccomp_object(const SeccompProfile& profile) {
  json::array calls;
  for (const auto& rule : profile.rules) {
    json::object call{{"names", strings(rule.names)},
                      {"action", rule.error ? "SCMP_ACT_ERRNO" : "SCMP_ACT_ALLOW"}};
    if (rule.error) call["errnoRet"] = *rule.error;
    if (rule.arg)
      call["args"] = json::array{json::object{{"index", rule.arg->index},
                                              {"value", rule.arg->mask},
                                              {"valueTwo", rule.arg->value},
                                              {"op", "SCMP_CMP_MASKED_EQ"}}};
    calls.push_back(std::move(call));
  }
  return {{"defaultAction", "SCMP_ACT_ERRNO"},
          {"defaultErrnoRet", profile.default_error},
          {"architectures", json::array{json::string{profile.architecture}}},
          {"syscalls", std::move(calls)}};
}

json::object linux_object(const BundleSpec& spec) {
  json::object out{{"namespaces", namespaces(spec)},
                   {"cgroupsPath", spec.cgroup},
                   {"resources", resources(spec.limits, spec.devices)},
                   {"maskedPaths", strings(kMasked)},
                   {"readonlyPaths", strings(kReadOnly)},
                   {"rootfsPropagation", "private"}};
  if (!spec.devices.empty()) out["devices"] = device_nodes(spec.devices);
  json::object sysctls;
  if (spec.network != proto::NetworkMode::host) {
    // In a network namespace of its own a low port or an echo request is no privilege.
    sysctls["net.ipv4.ip_unprivileged_port_start"] = "0";
    sysctls["net.ipv4.ping_group_range"] = "0 2147483647";
  }
  for (const auto& [name, value] : spec.sysctls) sysctls[name] = value;
  if (!sysctls.empty()) out["sysctl"] = std::move(sysctls);
  if (spec.seccomp) out["seccomp"] = seccomp_object(*spec.seccomp);
  return out;
}

}  // namespace

std::vector<BundleMount> standard_mounts(std::uint64_t shm_bytes) {
  return {{"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}},
          {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
          {"/dev/pts",
           "devpts",
           "devpts",
           {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
          {"/dev/shm",
           "tmpfs",
           "shm",
           {"nosuid", "noexec", "nodev", "mode=1777", fmt::format("size={}", shm_bytes)}},
          {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}},
          {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}},
          {"/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"}}};
}

std::string config_json(const BundleSpec& spec) {
  return json::serialize(json::object{
      {"ociVersion", "1.0.2"},
      {"process", process_object(spec.process, spec.host)},
      {"root", json::object{{"path", spec.rootfs.string()}, {"readonly", spec.read_only}}},
      {"hostname", spec.hostname},
      {"mounts", mount_array(spec)},
      {"linux", linux_object(spec)}});
}

Result<std::string> with_variables(const std::string& config,
                                   const std::map<std::string, std::string>& variables) {
  try {
    auto root = json::parse(config).as_object();
    for (auto& entry : root.at("process").as_object().at("env").as_array()) {
      const std::string name{entry.as_string().subview(0, entry.as_string().find('='))};
      if (const auto found = variables.find(name); found != variables.end())
        entry = json::string{name + "=" + found->second};
    }
    return json::serialize(root);
  } catch (const std::exception& e) {
    return Error{Errc::io, fmt::format("malformed config.json: {}", e.what())};
  }
}

Result<Confinement> confinement_of(const std::string& config) {
  try {
    const auto root = json::parse(config).as_object();
    const auto& process = root.at("process").as_object();
    return Confinement{.bounding = set_of(process, "bounding"),
                       .ambient = set_of(process, "ambient"),
                       .no_new_privileges = process.at("noNewPrivileges").as_bool(),
                       .seccomp = root.at("linux").as_object().contains("seccomp"),
                       .uid = process.at("user").as_object().at("uid").to_number<std::uint32_t>()};
  } catch (const std::exception& e) {
    return Error{Errc::io, fmt::format("malformed config.json: {}", e.what())};
  }
}

Result<std::vector<BundleMount>> service_mounts_of(const std::string& config) {
  const auto standard = standard_mounts();
  try {
    std::vector<BundleMount> out;
    const auto root = json::parse(config).as_object();
    for (const auto& each : root.at("mounts").as_array()) {
      const auto& mount = each.as_object();
      const auto text = [&](const char* key) { return std::string{mount.at(key).as_string()}; };
      BundleMount found{text("destination"), text("type"), text("source"), {}};
      for (const auto& option : mount.at("options").as_array())
        found.options.emplace_back(option.as_string());
      const bool ours = std::any_of(standard.begin(), standard.end(), [&](const auto& common) {
        return common.destination == found.destination && common.type == found.type;
      });
      if (!ours) out.push_back(std::move(found));
    }
    return out;
  } catch (const std::exception& e) {
    return Error{Errc::io, fmt::format("malformed config.json: {}", e.what())};
  }
}

}  // namespace holdfast::deploy::runtime
