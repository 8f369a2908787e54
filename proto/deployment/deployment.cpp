#include "proto/deployment/deployment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "proto/deployment/other_words.hpp"
#include "proto/deployment/readers.hpp"
#include "proto/yaml/scalars.hpp"

namespace holdfast::proto {
namespace {

constexpr std::array<std::string_view, 11> kTopKeys{
    "apiVersion", "name",     "serial", "issued", "expires", "targets",
    "withdrawn",  "services", "hooks",  "policy", "drift"};
constexpr std::array<std::string_view, 1> kPolicyKeys{"images"};
constexpr std::array<std::string_view, 3> kImagePolicyKeys{"require_semver_tag",
                                                           "require_signature", "max_size"};
constexpr std::string_view kApiVersion = "holdfast/v1";
constexpr std::size_t kMostServices = 256;
constexpr std::size_t kMostWithdrawn = 256;
constexpr std::uint64_t kMostSerial = 1ULL << 53;  ///< exact in every JSON reader

void read_head(yaml::Fields& fields, json::Object& canon, Deployment& deployment) {
  fields.require("apiVersion", "write apiVersion: holdfast/v1");
  const auto version = fields.text("apiVersion");
  if (version && version->value != kApiVersion) {
    fields.findings().error(version->mark,
                            fmt::format("apiVersion is \"{}\", but this agent understands {}",
                                        yaml::shown(version->value), kApiVersion),
                            fmt::format("write apiVersion: {}", kApiVersion));
  }
  canon.set("apiVersion", kApiVersion);

  fields.require("name", "write name: and a word such as shop");
  const auto name = fields.text("name");
  if (name && !rules::is_name(name->value)) {
    fields.findings().error(name->mark,
                            fmt::format("name is \"{}\", which is not a name for a deployment",
                                        yaml::shown(name->value)),
                            "lower-case letters, digits and dashes, at most 63");
  } else if (name) {
    deployment.name = name->value;
    canon.set("name", name->value);
  }
}

/// YAML's own times are welcome here.
std::optional<WallTime> read_time(yaml::Fields& fields, std::string_view key) {
  const auto* node = fields.find(key);
  if (node == nullptr) return std::nullopt;
  if (auto time = parse_rfc3339(node->text)) return *time;
  fields.findings().error(node->mark,
                          fmt::format("{} must be a point in time, not {}", key, value_text(*node)),
                          "write 2026-12-01T00:00:00Z");
  return std::nullopt;
}

/// Spec digests of what must never run again.
void read_withdrawn(yaml::Fields& fields, Deployment& deployment) {
  const auto digests = fields.texts("withdrawn");
  if (!digests) return;
  if (digests->size() > kMostWithdrawn)
    return fields.findings().error(
        fields.value_mark("withdrawn"),
        fmt::format("{} withdrawn documents, more than {}", digests->size(), kMostWithdrawn),
        "leave out those that no host keeps any more");
  for (const auto& [value, mark] : *digests) {
    if (auto digest = Digest::parse(value)) {
      deployment.withdrawn.insert(std::move(digest).value());
    } else {
      fields.findings().error(mark, fmt::format("\"{}\" is not a spec digest", yaml::shown(value)),
                              "write sha256: and 64 hex digits, as `holdfast history` shows them");
    }
  }
}

/// What says when and where the content is meant, and is no part of it.
void read_address(yaml::Fields& fields, Deployment& deployment) {
  deployment.serial = fields.number("serial", {1, kMostSerial});
  deployment.issued = read_time(fields, "issued");
  deployment.expires = read_time(fields, "expires");
  if (deployment.issued && deployment.expires && *deployment.issued >= *deployment.expires)
    fields.findings().error(fields.value_mark("expires"), "expires is not after issued",
                            "write a later time");
  read_withdrawn(fields, deployment);
  const auto targets = fields.text_map("targets");
  if (!targets) return;
  for (const auto& [key, value] : *targets) {
    if (rules::is_label(key.value)) {
      deployment.targets.emplace(key.value, value.value);
    } else {
      fields.findings().error(
          key.mark, fmt::format("\"{}\" is not a name for a label", yaml::shown(key.value)),
          "letters, digits, _ . / and -, at most 63");
    }
  }
}

void read_policy(yaml::Fields& fields, json::Object& canon, Deployment& deployment) {
  const auto* node = fields.find("policy");
  if (node == nullptr) return;
  yaml::Fields policy{*node, "policy", kPolicyKeys, fields.findings()};
  const auto* images = policy.find("images");
  if (images == nullptr) return;
  json::Object images_canon;
  deployment.image_policy =
      read_image_policy(*images, "policy.images", fields.findings(), images_canon);
  json::Object policy_canon;
  policy_canon.set("images", images_canon);
  canon.set("policy", policy_canon);
}

std::vector<ServiceDraft> read_services(yaml::Fields& fields, const ImagePolicy& policy) {
  std::vector<ServiceDraft> drafts;
  fields.require("services", "write services: with at least one service below");
  const auto* node = fields.find("services");
  if (node == nullptr) return drafts;
  yaml::Fields services{*node, "services", {}, fields.findings()};
  if (node->kind == yaml::Kind::mapping && node->members.empty()) {
    fields.findings().warning(node->mark, "the deployment has no services",
                              "applying it removes every service from the host");
  }
  if (node->members.size() > kMostServices) {
    fields.findings().error(
        node->mark, fmt::format("{} services, more than {}", node->members.size(), kMostServices));
    return drafts;
  }
  for (const auto& member : node->members)
    drafts.push_back(read_service(member, policy, fields.findings()));
  check_between_services(drafts, fields.findings());
  return drafts;
}

/// The whole document; what is wrong with it is in `findings`.
Deployment read_deployment(const yaml::Node& root, yaml::Findings& findings) {
  Deployment deployment{.name = {},
                        .serial = {},
                        .expires = {},
                        .issued = {},
                        .targets = {},
                        .withdrawn = {},
                        .services = {},
                        .hooks = {},
                        .image_policy = {},
                        .drift = {},
                        .canonical_json = {},
                        .spec_digest = Digest::of("")};
  yaml::Fields fields{root, "", kTopKeys, findings, document_words()};
  if (root.kind != yaml::Kind::mapping) return deployment;
  json::Object canon;
  read_head(fields, canon, deployment);
  read_address(fields, deployment);
  read_policy(fields, canon, deployment);
  deployment.drift = read_drift_policy(fields, canon);
  json::Object services;
  auto drafts = read_services(fields, deployment.image_policy);
  if (const auto* node = fields.find("hooks")) {
    json::Object hooks;
    deployment.hooks = read_hooks(*node, deployment.image_policy, drafts, findings, hooks);
    canon.set("hooks", hooks);
  }
  for (auto& draft : drafts) {
    services.set_raw(draft.name.str(), draft.canon.str());
    deployment.services.emplace(std::move(draft.name), std::move(draft.service));
  }
  canon.set_raw("services", services.str());
  deployment.canonical_json = canon.str();
  deployment.spec_digest = Digest::of(deployment.canonical_json);
  if (deployment.withdrawn.contains(deployment.spec_digest))
    findings.error(fields.value_mark("withdrawn"), "the document withdraws its own content",
                   "publish other content, or leave its spec digest out");
  return deployment;
}

std::optional<Deployment> parse(std::string_view yaml_text, yaml::Findings& findings) {
  const auto root = yaml::read(yaml_text, findings);
  if (!root) return std::nullopt;
  auto deployment = read_deployment(*root, findings);
  if (findings.has_errors()) return std::nullopt;
  return deployment;
}

}  // namespace

ImagePolicy read_image_policy(const yaml::Node& node, std::string path, yaml::Findings& findings,
                              json::Object& canon) {
  yaml::Fields fields{node, std::move(path), kImagePolicyKeys, findings};
  ImagePolicy policy;
  take(canon, "require_semver_tag", fields.flag("require_semver_tag"), policy.require_semver_tag);
  take(canon, "max_size", fields.size("max_size", Bytes{1}), policy.max_size);
  const auto keys = fields.texts("require_signature");
  if (!keys) return policy;
  for (const auto& [value, mark] : *keys) {
    const auto known = std::find(policy.require_signature.begin(), policy.require_signature.end(),
                                 value) != policy.require_signature.end();
    if (!rules::is_item_name(value)) {
      findings.error(mark, fmt::format("\"{}\" is not a name for a key", yaml::shown(value)),
                     "lower-case letters, digits, _ . and -");
    } else if (known) {
      findings.error(mark, fmt::format("the key \"{}\" is listed twice", value));
    } else {
      policy.require_signature.push_back(value);
    }
  }
  auto sorted = policy.require_signature;
  std::sort(sorted.begin(), sorted.end());
  if (!sorted.empty()) canon.set_raw("require_signature", json::strings(sorted));
  return policy;
}

std::vector<Diagnostic> diagnostics(const yaml::Findings& findings, yaml::Severity severity,
                                    std::string_view file) {
  std::vector<Diagnostic> result;
  for (auto& finding : findings.sorted()) {
    if (finding.severity != severity) continue;
    result.push_back({std::string{file}, finding.mark.line, finding.mark.column,
                      std::move(finding.message), std::move(finding.hint)});
  }
  return result;
}

std::string Diagnostic::to_string() const {
  return fmt::format("{}:{}:{}: {}{}{}{}", file, line, column, message, hint.empty() ? "" : " (",
                     hint, hint.empty() ? "" : ")");
}

ParsedDeployment parse_deployment(std::string_view yaml_text, std::string_view file) {
  yaml::Findings findings;
  ParsedDeployment result;
  result.deployment = parse(yaml_text, findings);
  result.errors = diagnostics(findings, yaml::Severity::error, file);
  result.warnings = diagnostics(findings, yaml::Severity::warning, file);
  return result;
}

Result<Deployment> load_deployment(std::string_view yaml_text, std::string_view file) {
  yaml::Findings findings;
  if (auto deployment = parse(yaml_text, findings)) return *std::move(deployment);
  std::vector<std::string> lines;
  bool only_references = true;
  for (const auto& finding : findings.sorted()) {
    if (finding.severity == yaml::Severity::error)
      only_references = only_references && finding.code == Errc::ref_invalid;
  }
  for (const auto& diagnostic : diagnostics(findings, yaml::Severity::error, file))
    lines.push_back(diagnostic.to_string());
  return Error{only_references ? Errc::ref_invalid : Errc::spec_parse,
               fmt::format("{}", fmt::join(lines, "\n"))};
}

std::vector<ServiceName> dependency_order(const Deployment& deployment) {
  std::map<ServiceName, std::size_t> waiting;
  std::map<ServiceName, std::vector<ServiceName>> dependents;
  std::set<ServiceName> ready;
  for (const auto& [name, service] : deployment.services) {
    std::size_t open = 0;
    for (const auto& dependency : service.depends_on) {
      if (!deployment.services.contains(dependency)) continue;
      dependents[dependency].push_back(name);
      ++open;
    }
    if (open == 0) {
      ready.insert(name);
    } else {
      waiting[name] = open;
    }
  }
  std::vector<ServiceName> order;
  order.reserve(deployment.services.size());
  while (!ready.empty()) {
    order.push_back(std::move(ready.extract(ready.begin()).value()));
    const auto found = dependents.find(order.back());
    if (found == dependents.end()) continue;
    for (const auto& name : found->second) {
      if (--waiting.at(name) == 0) ready.insert(name);
    }
  }
  if (order.size() != deployment.services.size())
    detail::bad_result_access("a cycle in a checked deployment");
  return order;
}

}  // namespace holdfast::proto
