#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "proto/deployment/compose_forms.hpp"
#include "proto/deployment/other_words.hpp"
#include "proto/deployment/readers.hpp"
#include "proto/yaml/scalars.hpp"

namespace holdfast::proto {
namespace {

constexpr std::array<std::string_view, 2> kEnvSourceKeys{"secret", "config"};
constexpr yaml::Alias kEnvSourceWords[] = {
    {"secretKeyRef", "write {secret: NAME}"},
    {"configMapKeyRef", "write {config: /TARGET}"},
    {"valueFrom", "write {secret: NAME} or {config: /TARGET}"},
    {"file", "name a secret of the service: {secret: NAME}"},
};
/// {secret: NAME} or {config: TARGET}; that there is such a one is checked when all are read.
void read_env_source(yaml::Fields& fields, const yaml::Member& variable, const std::string& where,
                     Service& service, json::Object& canon) {
  yaml::Fields source{variable.value, where, kEnvSourceKeys, fields.findings(), kEnvSourceWords};
  if (source.has("secret") == source.has("config")) {
    fields.findings().error(variable.value.mark, where + " must have either secret or config",
                            "write {secret: NAME}, with its file under secrets");
    return;
  }
  const bool secret = source.has("secret");
  const std::string_view key = secret ? "secret" : "config";
  const auto name = source.text(key);
  if (!name) return;
  service.env_from.emplace(
      variable.key, EnvSource{.kind = secret ? EnvSource::Kind::secret : EnvSource::Kind::config,
                              .name = name->value});
  json::Object from;
  from.set(key, name->value);
  canon.set(variable.key, from);
}

void read_variable(yaml::Fields& fields, const yaml::Member& variable, Service& service,
                   json::Object& canon) {
  const auto where = fields.path("env") + "." + yaml::shown(variable.key);
  if (variable.value.kind == yaml::Kind::mapping && rules::is_env_name(variable.key))
    return read_env_source(fields, variable, where, service, canon);
  const auto value = yaml::as_text(variable.value, where, fields.findings());
  if (!value) return;
  if (!rules::is_env_name(variable.key)) {
    fields.findings().error(
        variable.mark,
        fmt::format("\"{}\" is not a name for an environment variable", yaml::shown(variable.key)),
        "letters, digits, _ . and -, starting with a letter or _");
    return;
  }
  if (!accept(fields.findings(), value->mark, where, rules::check_literal(value->value))) return;
  const auto text = rules::literal(value->value);
  warn_of_dollars(fields.findings(), value->mark, where, value->value);
  service.env.emplace(variable.key, text);
  canon.set(variable.key, text);
}

}  // namespace

void warn_of_dollars(yaml::Findings& findings, yaml::Mark mark, const std::string& where,
                     std::string_view value) {
  const auto said = compose::dollar_warning(value);
  if (!said.empty()) findings.warning(mark, fmt::format("{} {}", where, said));
}

void read_env(yaml::Fields& fields, ServiceDraft& draft) {
  if (refuse_form(fields, "env", yaml::Kind::sequence, "a mapping of names to strings",
                  compose::env_hint))
    return;
  if (const auto* node = fields.find("env"); node != nullptr)
    for (const auto& member : node->members)
      if (const auto hint = compose::colon_hint(member.key);
          member.value.kind == yaml::Kind::null && !hint.empty()) {
        fields.findings().error(member.mark,
                                fmt::format("\"{}\" is not a name for an environment variable",
                                            yaml::shown(member.key)),
                                hint);
        return;
      }
  const auto* node = fields.find("env");
  if (node == nullptr) return;
  if (node->kind != yaml::Kind::mapping) {
    fields.findings().error(node->mark,
                            fmt::format("{} must be a mapping of names to strings, not {}",
                                        fields.path("env"), describe(*node)));
    return;
  }
  json::Object canon;
  for (const auto& member : node->members) read_variable(fields, member, draft.service, canon);
  draft.canon.set("env", canon);
}

void check_env_sources(yaml::Fields& fields, const Service& service) {
  const auto* env = fields.find("env");
  for (const auto& row : service.env_from) {
    const auto& name = row.first;
    const auto& source = row.second;
    const bool secret = source.kind == EnvSource::Kind::secret;
    const bool known =
        secret ? std::any_of(service.secrets.begin(), service.secrets.end(),
                             [&](const auto& each) { return each.name == source.name; })
               : std::any_of(service.configs.begin(), service.configs.end(),
                             [&](const auto& each) { return each.target == source.name; });
    if (known || env == nullptr) continue;
    const auto member = std::find_if(env->members.begin(), env->members.end(),
                                     [&](const auto& each) { return each.key == name; });
    fields.findings().error(
        member->value.mark,
        fmt::format("{}.{} names the unknown {} \"{}\"", fields.path("env"), name,
                    secret ? "secret" : "config", yaml::shown(source.name)),
        secret ? "write secrets: [{name: …, file: /PATH/ON/THE/HOST}]"
               : "name the target of one of the service's configs");
  }
}

}  // namespace holdfast::proto
