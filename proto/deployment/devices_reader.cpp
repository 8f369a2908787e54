#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/base/text.hpp"
#include "proto/deployment/mount_readers.hpp"
#include "proto/yaml/scalars.hpp"

namespace holdfast::proto {
namespace {

constexpr std::array<std::string_view, 3> kDeviceKeys{"source", "target", "access"};
constexpr yaml::Alias kDeviceWords[] = {
    {"path", "did you mean \"source\"?"},
    {"permissions", "did you mean \"access\"?"},
    {"cgroup_permissions", "did you mean \"access\"?"},
};
constexpr std::size_t kMostDevices = 32;

/// What every container has there, and what the agent mounts.
constexpr std::array<std::string_view, 16> kTaken{
    "/dev/null",   "/dev/zero",  "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty",
    "/dev/ptmx",   "/dev/stdin", "/dev/fd",   "/dev/stdout", "/dev/stderr",  "/dev/console",
    "/dev/mqueue", "/dev/shm",   "/dev/pts",  "/dev/init"};
/// The memory of the host, and all its ports.
constexpr std::array<std::string_view, 3> kNever{"/dev/mem", "/dev/kmem", "/dev/port"};

rules::Verdict check_device(std::string_view path) {
  if (auto fault = rules::check_path(path)) return fault;
  if (!rules::is_at_or_below(path, "/dev") || path == "/dev")
    return rules::Fault{"must be below /dev", "write /dev/NAME"};
  return std::nullopt;
}

rules::Verdict check_device_source(std::string_view path) {
  if (auto fault = check_device(path)) return fault;
  if (std::find(kNever.begin(), kNever.end(), path) != kNever.end())
    return rules::Fault{"is the memory of the host", "no service gets it"};
  return std::nullopt;
}

rules::Verdict check_device_target(std::string_view path) {
  if (auto fault = check_device(path)) return fault;
  for (const auto taken : kTaken)
    if (rules::is_at_or_below(path, taken))
      return rules::Fault{
          fmt::format("must not be at or below {}, which every container has", taken), ""};
  return std::nullopt;
}

/// Letters of r, w and m (mknod), each once.
bool is_access(std::string_view text) {
  return !text.empty() && text.size() <= 3 && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c == 'r' || c == 'w' || c == 'm') && std::count(text.begin(), text.end(), c) == 1;
  });
}

void read_access(yaml::Fields& fields, json::Object& canon, DeviceMapping& device) {
  const auto access = fields.text("access");
  if (!access) return;
  if (!is_access(access->value)) {
    fields.findings().error(
        access->mark, fmt::format("{} must be letters of r, w and m, not {}", fields.path("access"),
                                  yaml::shown(access->value)));
    return;
  }
  device.access = access->value;
  canon.set("access", device.access);
}

/// "/dev/a:/dev/b:rw", as compose files have it.
std::string device_hint(std::string_view text) {
  const auto parts = split(text, ':');
  if (parts.size() < 2) return {};
  return fmt::format("write {{source: {}, target: {}{}{}}}", yaml::shown(parts[0]),
                     yaml::shown(parts[1]), parts.size() > 2 ? ", access: " : "",
                     parts.size() > 2 ? yaml::shown(parts[2]) : "");
}

std::optional<DeviceMapping> device_text(const yaml::Node& node, const std::string& path,
                                         yaml::Findings& findings, json::Object& canon) {
  const auto text = yaml::as_text(node, path, findings);
  if (!text) return std::nullopt;
  if (text->value.find(':') != std::string::npos) {
    findings.error(text->mark, fmt::format("{} has more than a path", path),
                   device_hint(text->value));
    return std::nullopt;
  }
  if (!accept(findings, text->mark, path, check_device_source(text->value)) ||
      !accept(findings, text->mark, path, check_device_target(text->value)))
    return std::nullopt;
  canon.set("source", text->value);
  return DeviceMapping{.source = text->value, .target = text->value};
}

std::optional<DeviceMapping> device_mapping(const yaml::Node& node, const std::string& path,
                                            yaml::Findings& findings, json::Object& canon) {
  yaml::Fields fields{node, path, kDeviceKeys, findings, kDeviceWords};
  fields.require("source", "write the path of the device on the host");
  const auto source = fields.text("source");
  const auto target = fields.text("target");
  DeviceMapping device;
  read_access(fields, canon, device);
  if (!source ||
      !accept(findings, source->mark, fields.path("source"), check_device_source(source->value)))
    return std::nullopt;
  const auto& in_container = target ? *target : *source;
  if (!accept(findings, in_container.mark, fields.path(target ? "target" : "source"),
              check_device_target(in_container.value)))
    return std::nullopt;
  device.source = source->value;
  device.target = in_container.value;
  canon.set("source", device.source);
  if (target) canon.set("target", device.target);
  return device;
}

}  // namespace

void read_devices(yaml::Fields& service, ServiceDraft& draft) {
  auto& findings = service.findings();
  MountTargets targets;
  each_item(service, "devices", draft.canon, [&](const auto& node, auto path, auto& fragments) {
    json::Object canon;
    auto device = node.kind == yaml::Kind::mapping ? device_mapping(node, path, findings, canon)
                                                   : device_text(node, path, findings, canon);
    if (!device) return;
    targets.claim({device->target, node.mark}, findings);
    fragments.push_back(canon.str());
    draft.service.devices.push_back(*std::move(device));
  });
  if (draft.service.devices.size() > kMostDevices)
    findings.error(service.value_mark("devices"),
                   fmt::format("{} has {} entries, more than {}", service.path("devices"),
                               draft.service.devices.size(), kMostDevices));
}

}  // namespace holdfast::proto
