#include <fmt/format.h>

#include <array>
#include <map>

#include "proto/api/states.hpp"
#include "proto/deployment/readers.hpp"
#include "proto/yaml/scalars.hpp"

namespace holdfast::proto {
namespace {

constexpr auto& kStages = Words<HookStage>::kAll;
constexpr yaml::Alias kStageAliases[] = {
    {"pre", "did you mean \"before\"?"},
    {"pre_deploy", "did you mean \"before\"?"},
    {"pre-upgrade", "did you mean \"before\"?"},
    {"post", "did you mean \"after\"?"},
    {"post_deploy", "did you mean \"after\"?"},
    {"post-upgrade", "did you mean \"after\"?"},
    {"rollback", "did you mean \"on_rollback\"?"},
    {"pre-rollback", "did you mean \"on_rollback\"? it runs after the switch back"},
    {"post-rollback", "did you mean \"on_rollback\"?"},
};
constexpr std::array<std::string_view, 24> kHookKeys{
    "name",        "deadline", "image",   "entrypoint", "command",     "env",
    "working_dir", "secrets",  "volumes", "tmpfs",      "resources",   "security",
    "network",     "stop",     "dns",     "dns_search", "extra_hosts", "hostname",
    "init",        "ulimits",  "sysctls", "shm_size",   "configs",     "devices"};
constexpr yaml::Alias kHookAliases[] = {
    {"environment", "did you mean \"env\"?"},
    {"args", "did you mean \"command\"?"},
    {"timeout", "did you mean \"deadline\"?"},
    {"activeDeadlineSeconds", "did you mean \"deadline\"?"},
    {"network_mode", "did you mean \"network\"?"},
    {"publish", "a hook runs once and is reached by nobody"},
    {"ports", "a hook runs once and is reached by nobody"},
    {"health", "a hook is judged by its exit code"},
    {"healthcheck", "a hook is judged by its exit code"},
    {"restart", "a hook runs once; a failure ends the rollout"},
    {"update", "a hook runs once; write deadline beside its image"},
    {"depends_on", "hooks run one after the other, in the order written"},
    {"user", "write security: {user: …}"},
    {"memory", "write resources: {memory: …}"},
    {"cpus", "write resources: {cpus: …}"},
};
constexpr std::size_t kMostHooks = 16;  ///< of a stage

using Names = std::map<std::string, std::string, std::less<>>;  ///< name → whose it is

/// Reads the name; the place of the hook stands in for one that is missing.
std::string read_name(yaml::Fields& fields, Names& names) {
  fields.require("name", "write name: and a word such as migrate");
  const auto name = fields.text("name");
  if (!name) return {};
  if (!rules::is_name(name->value)) {
    fields.findings().error(
        name->mark, fmt::format("\"{}\" is not a name for a hook", yaml::shown(name->value)),
        "lower-case letters, digits and dashes, at most 63, no dash at the ends");
    return {};
  }
  const auto [other, fresh] = names.emplace(name->value, fields.path());
  if (!fresh)
    fields.findings().error(
        name->mark,
        fmt::format("the name \"{}\" is taken already by {}", name->value, other->second),
        "give each hook a name of its own");
  return name->value;
}

std::vector<Hook> read_stage(yaml::Fields& stages, std::string_view stage,
                             const ImagePolicy& policy, Names& names, json::Object& canon) {
  std::vector<Hook> hooks;
  const auto* items = stages.list(stage);
  if (items == nullptr) return hooks;
  if (items->size() > kMostHooks) {
    stages.findings().error(stages.value_mark(stage),
                            fmt::format("{} lists {} hooks, more than {}", stages.path(stage),
                                        items->size(), kMostHooks));
    return hooks;
  }
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < items->size(); ++i) {
    const auto& item = (*items)[i];
    yaml::Fields fields{item, fmt::format("{}[{}]", stages.path(stage), i), kHookKeys,
                        stages.findings(), kHookAliases};
    if (item.kind != yaml::Kind::mapping) continue;
    const auto name = read_name(fields, names);
    auto draft = empty_draft(name, item.mark);
    read_container(fields, policy, draft);
    hash_service(draft);
    Hook hook{.name = draft.name, .service = std::move(draft.service)};
    hook.service.restart = Restart::never;
    draft.canon.set("name", name);
    take(draft.canon, "deadline",
         fields.duration("deadline", {Milliseconds{1'000}, std::chrono::hours{24}}), hook.deadline);
    texts.push_back(draft.canon.str());
    hooks.push_back(std::move(hook));
  }
  if (!texts.empty()) canon.set_raw(stage, json::array(texts));
  return hooks;
}

}  // namespace

Hooks read_hooks(const yaml::Node& node, const ImagePolicy& policy,
                 const std::vector<ServiceDraft>& services, yaml::Findings& findings,
                 json::Object& canon) {
  yaml::Fields fields{node, "hooks", kStages, findings, kStageAliases};
  Names names;
  for (const auto& service : services)
    names.emplace(service.name.str(), "the service in line " + std::to_string(service.mark.line));
  Hooks hooks;
  hooks.before = read_stage(fields, "before", policy, names, canon);
  hooks.after = read_stage(fields, "after", policy, names, canon);
  hooks.on_rollback = read_stage(fields, "on_rollback", policy, names, canon);
  return hooks;
}

std::string_view to_string(HookStage stage) { return word_of(stage); }

const std::vector<Hook>& Hooks::of(HookStage stage) const {
  return stage == HookStage::before ? before : stage == HookStage::after ? after : on_rollback;
}

std::vector<std::pair<ServiceName, const Service*>> containers(const Deployment& deployment) {
  std::vector<std::pair<ServiceName, const Service*>> all;
  for (const auto& [name, service] : deployment.services) all.emplace_back(name, &service);
  for (const auto stage : {HookStage::before, HookStage::after, HookStage::on_rollback}) {
    for (const auto& hook : deployment.hooks.of(stage)) all.emplace_back(hook.name, &hook.service);
  }
  return all;
}

const Service* container(const Deployment& deployment, const ServiceName& name) {
  if (const auto found = deployment.services.find(name); found != deployment.services.end())
    return &found->second;
  for (const auto& [known, service] : containers(deployment)) {
    if (known == name) return service;
  }
  return nullptr;
}

}  // namespace holdfast::proto
