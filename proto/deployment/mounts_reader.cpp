#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "proto/deployment/compose_forms.hpp"
#include "proto/deployment/mount_readers.hpp"
#include "proto/deployment/other_words.hpp"
#include "proto/yaml/scalars.hpp"

namespace holdfast::proto {
namespace {

constexpr std::array<std::string_view, 6> kVolumeKeys{"source",  "target", "read_only",
                                                      "subpath", "owner",  "mode"};
constexpr yaml::Alias kVolumeAliases[] = {
    {"src", "did you mean \"source\"?"},
    {"dst", "did you mean \"target\"?"},
    {"destination", "did you mean \"target\"?"},
    {"readonly", "did you mean \"read_only\"?"},
    {"ro", "did you mean \"read_only\"?"},
    {"subPath", "did you mean \"subpath\"?"},
    {"uid", "write owner: \"uid:gid\""},
    {"type", "leave it out: a path of the host is bound, a name is a volume, and tmpfs has a key"},
    {"volume", "write subpath beside source; what else stands there has no key"},
    {"bind", "leave it out: what is below is bound too, private and without devices"},
    {"tmpfs", "write tmpfs: [{target: …, size: …}] in the service"},
};
constexpr std::array<std::string_view, 4> kTmpfsKeys{"target", "size", "mode", "exec"};
constexpr Bytes kLeastTmpfs{4096};
constexpr const char* kTargetHint = "write the absolute path in the container";

bool check_source(yaml::Fields& fields, const yaml::Located<std::string>& source) {
  if (source.value.starts_with('/'))
    return accept(fields.findings(), source.mark, fields.path("source"),
                  rules::check_host_source(source.value));
  if (rules::is_item_name(source.value)) return true;
  fields.findings().error(source.mark,
                          fmt::format("{} is \"{}\", neither an absolute path nor a volume name",
                                      fields.path("source"), yaml::shown(source.value)),
                          source.value.starts_with('.') || source.value.starts_with('~')
                              ? "write the absolute path on the host"
                              : "names have lower-case letters, digits, _ . and -");
  return false;
}

/// A directory below the volume: a clean relative path.
void read_subpath(yaml::Fields& fields, json::Object& canon, VolumeMount& volume) {
  const auto subpath = fields.text("subpath");
  if (!subpath) return;
  const auto where = fields.path("subpath");
  if (subpath->value.starts_with('/') || subpath->value.empty()) {
    fields.findings().error(subpath->mark, where + " must be a path in the volume",
                            "write it without a slash at its beginning");
    return;
  }
  if (!accept(fields.findings(), subpath->mark, where, rules::check_path("/" + subpath->value)))
    return;
  volume.subpath = subpath->value;
  canon.set("subpath", volume.subpath);
}

/// What is the agent's to set in its own volumes is the host's in a directory of the host.
void refuse_on_host_paths(yaml::Fields& fields) {
  if (fields.has("subpath"))
    fields.findings().error(fields.mark("subpath"),
                            fields.path("subpath") + " is for named volumes",
                            "write the whole path as source");
  for (const std::string_view key : {"owner", "mode"})
    if (fields.has(key))
      fields.findings().error(fields.mark(key), fields.path(key) + " is for named volumes",
                              key == "owner" ? "run chown on the host" : "run chmod on the host");
}

void read_volume(const yaml::Node& node, std::string path, MountTargets& targets,
                 yaml::Findings& findings, ServiceDraft& draft,
                 std::vector<std::string>& fragments) {
  yaml::Fields fields{node, std::move(path), kVolumeKeys, findings, kVolumeAliases};
  json::Object canon;
  VolumeMount volume;
  fields.require("source", "write an absolute path of the host or the name of a volume");
  fields.require("target", kTargetHint);
  const auto source = fields.text("source");
  const auto target = read_target(fields, targets);
  take(canon, "read_only", fields.flag("read_only"), volume.read_only);
  read_subpath(fields, canon, volume);
  volume.owner = read_owner(fields, canon);
  volume.mode = read_mode(fields, canon);
  if (source && source->value.starts_with('/')) refuse_on_host_paths(fields);
  if (!source || !target || !check_source(fields, *source)) return;
  volume.source = source->value;
  volume.target = *target;
  canon.set("source", volume.source);
  canon.set("target", volume.target);
  fragments.push_back(canon.str());
  draft.service.volumes.push_back(std::move(volume));
}

void read_tmpfs(const yaml::Node& node, const std::string& path, MountTargets& targets,
                yaml::Findings& findings, ServiceDraft& draft,
                std::vector<std::string>& fragments) {
  json::Object canon;
  TmpfsMount mount;
  if (node.kind == yaml::Kind::mapping) {
    yaml::Fields fields{node, path, kTmpfsKeys, findings};
    fields.require("target", kTargetHint);
    const auto target = read_target(fields, targets);
    take(canon, "size", fields.size("size", kLeastTmpfs), mount.size);
    mount.mode = read_mode(fields, canon);
    if (const auto exec = fields.flag("exec")) {
      mount.exec = exec;
      canon.set("exec", *exec);
    }
    if (!target) return;
    mount.target = *target;
  } else {
    const auto target = yaml::as_text(node, path, findings);
    if (!target || !accept_target(findings, *target, path)) return;
    targets.claim(*target, findings);
    mount.target = target->value;
  }
  canon.set("target", mount.target);
  fragments.push_back(canon.str());
  draft.service.tmpfs.push_back(std::move(mount));
}

}  // namespace

void MountTargets::claim(const yaml::Located<std::string>& target, yaml::Findings& findings) {
  const auto [first, fresh] = first_.emplace(target.value, target.mark);
  if (fresh) return;
  findings.error(target.mark, fmt::format("\"{}\" is mounted on twice (first at line {})",
                                          yaml::shown(target.value), first->second.line));
}

bool accept_target(yaml::Findings& findings, const yaml::Located<std::string>& target,
                   std::string_view where) {
  return accept(findings, target.mark, where, rules::check_no_mount_options(target.value)) &&
         accept(findings, target.mark, where, rules::check_target(target.value));
}

std::optional<std::string> read_target(yaml::Fields& fields, MountTargets& targets) {
  const auto target = fields.text("target");
  if (!target || !accept_target(fields.findings(), *target, fields.path("target")))
    return std::nullopt;
  targets.claim(*target, fields.findings());
  return target->value;
}

std::optional<FileMode> read_mode(yaml::Fields& fields, json::Object& canon) {
  const auto text = fields.text("mode");
  if (!text) return std::nullopt;
  const auto mode = rules::parse_mode(text->value);
  if (!mode) {
    fields.findings().error(text->mark,
                            fmt::format("{} must be three or four octal digits, not {}",
                                        fields.path("mode"), yaml::shown(text->value)),
                            "write \"0755\"");
    return std::nullopt;
  }
  canon.set("mode", rules::mode_text(*mode));
  return mode;
}

std::string read_owner(yaml::Fields& fields, json::Object& canon) {
  const auto owner = fields.text("owner");
  if (!owner || !accept(fields.findings(), owner->mark, fields.path("owner"),
                        rules::check_user(owner->value)))
    return {};
  canon.set("owner", owner->value);
  return owner->value;
}

void set_sorted(json::Object& canon, std::string_view key, std::vector<std::string> fragments) {
  std::sort(fragments.begin(), fragments.end());
  if (!fragments.empty()) canon.set_raw(key, json::array(fragments));
}

bool refuse_text(const yaml::Node& node, const std::string& path, yaml::Findings& findings,
                 std::string (*hint)(const yaml::Node&)) {
  if (node.kind != yaml::Kind::scalar) return false;
  findings.error(node.mark, fmt::format("{} must be a mapping, not {}", path, describe(node)),
                 hint(node));
  return true;
}

void read_mounts(yaml::Fields& service, ServiceDraft& draft) {
  MountTargets targets;
  auto& findings = service.findings();
  read_files(service, targets, draft);
  each_item(service, "volumes", draft.canon, [&](const auto& node, auto path, auto& fragments) {
    if (refuse_text(node, path, findings, compose::volume_hint)) return;
    read_volume(node, std::move(path), targets, findings, draft, fragments);
  });
  each_item(service, "tmpfs", draft.canon, [&](const auto& node, auto path, auto& fragments) {
    read_tmpfs(node, path, targets, findings, draft, fragments);
  });
}

}  // namespace holdfast::proto
