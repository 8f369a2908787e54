#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "proto/deployment/compose_forms.hpp"
#include "proto/deployment/mount_readers.hpp"
#include "proto/yaml/scalars.hpp"

namespace holdfast::proto {
namespace {

constexpr std::array<std::string_view, 5> kSecretKeys{"name", "file", "target", "mode", "owner"};
constexpr std::array<std::string_view, 6> kConfigKeys{"target", "content", "file",
                                                      "digest", "mode",    "owner"};
constexpr yaml::Alias kSecretWords[] = {
    {"source", "write name, and file: the path on the host"},
    {"uid", "write owner: \"uid:gid\""},
    {"gid", "write owner: \"uid:gid\""},
    {"defaultMode", "did you mean \"mode\"?"},
    {"external", "leave it out: a secret is a file of the host"},
    {"environment", "write file: the path on the host"},
};
constexpr yaml::Alias kConfigWords[] = {
    {"source", "write content, or file with its digest"},
    {"data", "did you mean \"content\"?"},
    {"path", "did you mean \"target\"?"},
    {"sha256", "did you mean \"digest\"?"},
    {"uid", "write owner: \"uid:gid\""},
    {"gid", "write owner: \"uid:gid\""},
    {"defaultMode", "did you mean \"mode\"?"},
    {"external", "leave it out: write content, or file with its digest"},
};
constexpr std::size_t kMostConfigs = 64;
constexpr std::size_t kLargestContent = 256U << 10;  ///< of one config in the document
constexpr FileMode kConfigMode = 0444;

using SecretNames = std::map<std::string, yaml::Mark>;

void check_host_file(yaml::Fields& fields, const yaml::Located<std::string>& file) {
  const auto where = fields.path("file");
  if (!accept(fields.findings(), file.mark, where, rules::check_path(file.value))) return;
  for (const auto prefix : {"/proc", "/sys", "/dev"}) {
    if (rules::is_at_or_below(file.value, prefix))
      fields.findings().error(file.mark, fmt::format("{} must not be below {}", where, prefix));
  }
}

/// Where it appears, its mode and owner; each set in `canon` where it is written.
template <class File>
void read_place(yaml::Fields& fields, MountTargets& targets, json::Object& canon, File& file) {
  if (const auto target = read_target(fields, targets)) {
    file.target = *target;
    canon.set("target", file.target);
  }
  if (const auto mode = read_mode(fields, canon)) file.mode = *mode;
  file.owner = read_owner(fields, canon);
}

void read_secret(const yaml::Node& node, std::string path, MountTargets& targets,
                 SecretNames& names, yaml::Findings& findings, ServiceDraft& draft,
                 std::vector<std::string>& fragments) {
  yaml::Fields fields{node, std::move(path), kSecretKeys, findings, kSecretWords};
  fields.require("name", "the secret appears as /run/secrets/<name>");
  fields.require("file", "write the absolute path of the file on the host");
  const auto name = fields.text("name");
  const auto file = fields.text("file");
  if (file) check_host_file(fields, *file);
  json::Object canon;
  SecretRef secret;
  read_place(fields, targets, canon, secret);
  if (name && !rules::is_file_name(name->value)) {
    findings.error(name->mark,
                   fmt::format("{} is \"{}\", which is not a name", fields.path("name"),
                               yaml::shown(name->value)),
                   "letters, digits, _ . and -, at most 253, no dot or dash first");
    return;
  }
  if (!name || !file) return;
  if (const auto [first, fresh] = names.emplace(name->value, name->mark); !fresh) {
    findings.error(name->mark, fmt::format("the secret \"{}\" is listed twice (first at line {})",
                                           name->value, first->second.line));
    return;
  }
  secret.name = name->value;
  secret.file = file->value;
  canon.set("name", secret.name);
  canon.set("file", secret.file);
  fragments.push_back(canon.str());
  draft.service.secrets.push_back(std::move(secret));
}

bool read_pinned_file(yaml::Fields& fields, json::Object& canon, ConfigFile& config) {
  fields.require("digest", "write sha256: and the 64 digits that sha256sum prints");
  const auto file = fields.text("file");
  const auto digest = fields.text("digest");
  if (file) check_host_file(fields, *file);
  if (!file || !digest) return false;
  const auto parsed = Digest::parse(digest->value);
  if (!parsed) {
    fields.findings().error(digest->mark, fields.path("digest") + ":", parsed.error());
    return false;
  }
  config.file = file->value;
  config.digest = *parsed;
  canon.set("file", config.file);
  canon.set("digest", config.digest.str());
  return true;
}

/// Exactly one of content, and file with its digest.
bool read_content(yaml::Fields& fields, json::Object& canon, ConfigFile& config) {
  const bool written = fields.has("content");
  if (written == fields.has("file") || (written && fields.has("digest"))) {
    fields.findings().error(
        fields.mark(),
        fmt::format("{} must have either content, or file and digest", fields.path()),
        "the content is part of the document, or of a file that the document pins");
    return false;
  }
  if (!written) return read_pinned_file(fields, canon, config);
  const auto content = fields.text("content");
  if (!content) return false;
  if (content->value.size() > kLargestContent) {
    fields.findings().error(content->mark,
                            fmt::format("{} has {} bytes, more than {}", fields.path("content"),
                                        content->value.size(), kLargestContent),
                            "write file: and the digest of a file on the host");
    return false;
  }
  config.content = content->value;
  config.digest = Digest::of(config.content);
  canon.set("content", config.content);
  return true;
}

void read_config(const yaml::Node& node, std::string path, MountTargets& targets,
                 yaml::Findings& findings, ServiceDraft& draft,
                 std::vector<std::string>& fragments) {
  yaml::Fields fields{node, std::move(path), kConfigKeys, findings, kConfigWords};
  if (node.kind != yaml::Kind::mapping) return;
  fields.require("target", "write the absolute path in the container");
  json::Object canon;
  ConfigFile config{.target = {},
                    .content = {},
                    .file = {},
                    .digest = Digest::of(""),
                    .mode = kConfigMode,
                    .owner = {}};
  read_place(fields, targets, canon, config);
  if (!read_content(fields, canon, config) || config.target.empty()) return;
  fragments.push_back(canon.str());
  draft.service.configs.push_back(std::move(config));
}

}  // namespace

void read_files(yaml::Fields& service, MountTargets& targets, ServiceDraft& draft) {
  SecretNames names;
  auto& findings = service.findings();
  each_item(service, "secrets", draft.canon, [&](const auto& node, auto path, auto& fragments) {
    if (refuse_text(node, path, findings, compose::secret_hint)) return;
    read_secret(node, std::move(path), targets, names, findings, draft, fragments);
  });
  each_item(service, "configs", draft.canon, [&](const auto& node, auto path, auto& fragments) {
    if (refuse_text(node, path, findings, compose::config_hint)) return;
    read_config(node, std::move(path), targets, findings, draft, fragments);
  });
  if (draft.service.configs.size() > kMostConfigs)
    findings.error(service.value_mark("configs"),
                   fmt::format("{} has {} entries, more than {}", service.path("configs"),
                               draft.service.configs.size(), kMostConfigs));
}

}  // namespace holdfast::proto
