#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <limits>

#include "proto/deployment/compose_forms.hpp"
#include "proto/deployment/other_words.hpp"
#include "proto/deployment/readers.hpp"
#include "proto/yaml/scalars.hpp"

namespace holdfast::proto {
namespace {

constexpr std::array<std::string_view, 28> kServiceKeys{
    "image",   "entrypoint", "command",   "env",     "working_dir", "secrets",     "publish",
    "volumes", "tmpfs",      "resources", "health",  "update",      "depends_on",  "security",
    "restart", "stop",       "network",   "dns",     "dns_search",  "extra_hosts", "hostname",
    "labels",  "init",       "ulimits",   "sysctls", "shm_size",    "configs",     "devices"};
constexpr std::array<std::string_view, 3> kResourceKeys{"memory", "cpus", "pids"};
constexpr std::array<std::string_view, 2> kStopKeys{"signal", "timeout"};
constexpr std::array<std::string_view, 3> kNetworks{"private", "host", "none"};
constexpr std::array<std::string_view, 3> kRestarts{"always", "on-failure", "no"};

constexpr Bytes kLeastMemory{4U << 20};  ///< runc's own init needs it
constexpr std::uint64_t kMostPids = 4'194'304;
constexpr std::uint32_t kLeastMillicpus = 10;  ///< the smallest CFS quota, 1 ms of 100 ms
constexpr std::uint32_t kMostMillicpus = 1'024'000;

/// Stands where a digest is not known yet; never leaves the parser.
Digest no_digest() { return Digest::of(""); }

Service empty_service() {
  Service service{.image = {.host = "", .repository = "", .tag = "", .digest = no_digest()},
                  .entrypoint = {},
                  .command = {},
                  .env = {},
                  .working_dir = {},
                  .secrets = {},
                  .publish = {},
                  .volumes = {},
                  .tmpfs = {},
                  .resources = {},
                  .health = {},
                  .update = {},
                  .depends_on = {},
                  .security = {},
                  .restart = Restart::always,
                  .stop = {},
                  .network = NetworkMode::isolated,
                  .names = {},
                  .run_hash = no_digest(),
                  .policy_hash = no_digest()};
  return service;
}

void read_image(yaml::Fields& fields, const ImagePolicy& policy, ServiceDraft& draft) {
  fields.require("image", "write image: host/name:tag@sha256:<64 hex>");
  const auto text = fields.text("image");
  if (!text || !accept(fields.findings(), text->mark, fields.path("image"),
                       rules::check_literal(text->value)))
    return;
  auto ref = ImageRef::parse(text->value);
  if (!ref) {
    fields.findings().error(text->mark, fields.path("image") + ":", ref.error());
    return;
  }
  draft.service.image = *std::move(ref);
  draft.canon.set("image", draft.service.image.str());
  if (policy.require_semver_tag && !rules::is_semver(draft.service.image.tag)) {
    const auto& tag = draft.service.image.tag;
    fields.findings().error(
        text->mark,
        fmt::format("{} has {}, but policy.images.require_semver_tag asks for a semantic version",
                    fields.path("image"),
                    tag.empty() ? "no tag" : fmt::format("the tag \"{}\"", tag)),
        "write a tag such as 1.8.2 in front of the digest");
  }
}

enum class ReadBy : std::uint8_t { program, shell };

/// Whether what follows these arguments is a script, in which a shell puts in the values.
ReadBy reader_after(const std::optional<std::vector<std::string>>& arguments) {
  const bool shell =
      arguments && std::any_of(arguments->begin(), arguments->end(),
                               [](const auto& argument) { return rules::is_shell_flag(argument); });
  return shell ? ReadBy::shell : ReadBy::program;
}

void read_arguments(yaml::Fields& fields, std::string_view key, ReadBy reader, json::Object& canon,
                    std::optional<std::vector<std::string>>& into) {
  if (const auto* node = fields.find(key); node != nullptr && node->kind == yaml::Kind::scalar) {
    fields.findings().error(
        node->mark, fmt::format("{} must be a list, not {}", fields.path(key), describe(*node)),
        "there is no shell; write each argument on its own: [\"--port\", "
        "\"8080\"]");
    return;
  }
  const auto items = fields.texts(key);
  if (!items) return;
  into.emplace();
  bool by_shell = reader == ReadBy::shell;
  for (std::size_t i = 0; i < items->size(); ++i) {
    const auto& [value, mark] = (*items)[i];
    const auto where = fmt::format("{}[{}]", fields.path(key), i);
    if (!by_shell && !accept(fields.findings(), mark, where, rules::check_literal(value))) continue;
    if (!by_shell) warn_of_dollars(fields.findings(), mark, where, value);
    into->push_back(by_shell ? value : rules::literal(value));
    by_shell = by_shell || rules::is_shell_flag(value);
  }
  if (key == "entrypoint" && !items->empty() &&
      !accept(fields.findings(), items->front().mark, fields.path(key),
              compose::check_program(*into)))
    return;
  canon.set_raw(key, json::strings(*into));
}

void read_working_dir(yaml::Fields& fields, ServiceDraft& draft) {
  const auto text = fields.text("working_dir");
  if (!text) return;
  const auto where = fields.path("working_dir");
  if (!accept(fields.findings(), text->mark, where, rules::check_path(text->value))) return;
  if (rules::is_at_or_below(text->value, "/proc")) {  // CVE-2024-21626
    fields.findings().error(text->mark, where + " must not be inside /proc");
    return;
  }
  draft.service.working_dir = text->value;
  draft.canon.set("working_dir", text->value);
}

void read_publish(yaml::Fields& fields, ServiceDraft& draft) {
  const auto items = fields.texts("publish");
  if (!items) return;
  std::vector<std::string> canon;
  for (std::size_t i = 0; i < items->size(); ++i) {
    const auto& item = (*items)[i];
    auto ports = rules::parse_published(item.value);
    if (!ports) {
      fields.findings().error(item.mark, fmt::format("{}[{}]", fields.path("publish"), i),
                              ports.error());
      continue;
    }
    for (auto& port : *ports) {
      canon.push_back(rules::to_string(port));
      draft.service.publish.push_back(std::move(port));
      draft.publish_marks.push_back(item.mark);
    }
  }
  std::sort(canon.begin(), canon.end());
  if (!canon.empty()) draft.canon.set_raw("publish", json::strings(canon));
}

void read_cpus(yaml::Fields& fields, json::Object& canon, std::optional<std::uint32_t>& into) {
  const auto* node = fields.find("cpus");
  if (node == nullptr) return;
  const auto value =
      node->kind == yaml::Kind::scalar ? yaml::parse_millis(node->text) : std::nullopt;
  if (!value || *value < kLeastMillicpus || *value > kMostMillicpus) {
    fields.findings().error(node->mark,
                            fmt::format("{} must be a number of CPUs between 0.01 and 1024, not {}",
                                        fields.path("cpus"), yaml::value_text(*node)),
                            "write 0.5, 1 or 1.5");
    return;
  }
  into = value;
  auto text = fmt::format("{}.{:03}", *value / 1000, *value % 1000);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  canon.set("cpus", text);
}

void read_resources(yaml::Fields& service, ServiceDraft& draft) {
  const auto* node = service.find("resources");
  if (node == nullptr) return;
  yaml::Fields fields{*node, service.path("resources"), kResourceKeys, service.findings(),
                      resource_words()};
  json::Object canon;
  auto& resources = draft.service.resources;
  take(canon, "memory", fields.size("memory", kLeastMemory), resources.memory);
  read_cpus(fields, canon, resources.millicpus);
  if (const auto pids = fields.number("pids", {1, kMostPids})) {
    resources.pids = static_cast<std::uint32_t>(*pids);
    canon.set("pids", *pids);
  }
  draft.canon.set("resources", canon);
}

void read_depends_on(yaml::Fields& fields, ServiceDraft& draft) {
  if (refuse_form(fields, "depends_on", yaml::Kind::mapping, "a list", compose::depends_on_hint))
    return;
  const auto items = fields.texts("depends_on");
  if (!items) return;
  std::vector<std::string> canon;
  for (const auto& item : *items) {
    if (std::find(canon.begin(), canon.end(), item.value) != canon.end()) {
      fields.findings().error(item.mark,
                              fmt::format("\"{}\" is listed twice in {}", yaml::shown(item.value),
                                          fields.path("depends_on")));
      continue;
    }
    canon.push_back(item.value);
    draft.service.depends_on.emplace_back(item.value);
    draft.depends_on_marks.push_back(item.mark);
  }
  std::sort(canon.begin(), canon.end());
  if (!canon.empty()) draft.canon.set_raw("depends_on", json::strings(canon));
}

void read_stop(yaml::Fields& service, ServiceDraft& draft) {
  const auto* node = service.find("stop");
  if (node == nullptr) return;
  yaml::Fields fields{*node, service.path("stop"), kStopKeys, service.findings()};
  json::Object canon;
  const auto signal = fields.text("signal");
  if (signal && accept(fields.findings(), signal->mark, fields.path("signal"),
                       rules::check_signal(signal->value))) {
    draft.service.stop.signal = signal->value;
    canon.set("signal", signal->value);
  }
  take(canon, "timeout", fields.duration("timeout", {Milliseconds{0}, std::chrono::hours{1}}),
       draft.service.stop.timeout);
  draft.canon.set("stop", canon);
}

void read_network(yaml::Fields& fields, ServiceDraft& draft) {
  if (const auto found = fields.choice("network", kNetworks)) {
    draft.service.network = static_cast<NetworkMode>(*found);
    draft.canon.set("network", kNetworks[*found]);
  }
}

void read_restart(yaml::Fields& fields, ServiceDraft& draft) {
  if (const auto* node = fields.find("restart");
      node != nullptr && node->text == "unless-stopped") {
    fields.findings().error(node->mark,
                            fmt::format("{} must be one of {}, not unless-stopped",
                                        fields.path("restart"), fmt::join(kRestarts, ", ")),
                            "write always: what the document names runs");
    return;
  }
  if (const auto found = fields.choice("restart", kRestarts)) {
    draft.service.restart = static_cast<Restart>(*found);
    draft.canon.set("restart", kRestarts[*found]);
  }
}

/// A published port needs the agent's own network; with the others it would silently do nothing.
void check_publish_network(yaml::Fields& fields, const ServiceDraft& draft) {
  const auto mode = draft.service.network;
  if (mode == NetworkMode::isolated || draft.service.publish.empty()) return;
  fields.findings().error(fields.mark("publish"),
                          fmt::format("{} cannot be used with network {}", fields.path("publish"),
                                      mode == NetworkMode::host ? "host" : "none"),
                          mode == NetworkMode::host
                              ? "the program listens on the host itself; leave publish out"
                              : "a service without a network is reached by nobody");
}

}  // namespace

bool accept(yaml::Findings& findings, yaml::Mark mark, std::string_view where,
            const rules::Verdict& verdict) {
  if (!verdict) return true;
  findings.error(mark, fmt::format("{} {}", where, verdict->message), verdict->hint);
  return false;
}

bool refuse_form(yaml::Fields& fields, std::string_view key, yaml::Kind form, std::string_view must,
                 std::string (*hint)(const yaml::Node&)) {
  const auto* node = fields.find(key);
  if (node == nullptr || node->kind != form) return false;
  fields.findings().error(node->mark,
                          fmt::format("{} must be {}, not {}", fields.path(key), must,
                                      form == yaml::Kind::sequence ? "a list" : "a mapping"),
                          hint(*node));
  return true;
}

ServiceDraft empty_draft(std::string_view name, yaml::Mark mark) {
  return {.name = ServiceName{name},
          .mark = mark,
          .service = empty_service(),
          .canon = {},
          .publish_marks = {},
          .depends_on_marks = {}};
}

void read_container(yaml::Fields& fields, const ImagePolicy& policy, ServiceDraft& draft) {
  read_image(fields, policy, draft);
  read_arguments(fields, "entrypoint", ReadBy::program, draft.canon, draft.service.entrypoint);
  read_arguments(fields, "command", reader_after(draft.service.entrypoint), draft.canon,
                 draft.service.command);
  read_env(fields, draft);
  read_working_dir(fields, draft);
  read_network(fields, draft);
  read_names(fields, draft);
  read_mounts(fields, draft);
  check_env_sources(fields, draft.service);
  read_devices(fields, draft);
  read_process(fields, draft);
  read_resources(fields, draft);
  read_security(fields, draft);
  read_stop(fields, draft);
}

ServiceDraft read_service(const yaml::Member& member, const ImagePolicy& policy,
                          yaml::Findings& findings) {
  auto draft = empty_draft(member.key, member.mark);
  yaml::Fields fields{member.value, "services." + yaml::shown(member.key), kServiceKeys, findings,
                      service_words()};
  if (!rules::is_name(member.key)) {
    findings.error(member.mark,
                   fmt::format("\"{}\" is not a name for a service", yaml::shown(member.key)),
                   "lower-case letters, digits and dashes, at most 63, no dash at the ends");
  }
  if (member.value.kind != yaml::Kind::mapping) return draft;
  read_container(fields, policy, draft);
  read_restart(fields, draft);
  read_publish(fields, draft);
  check_publish_network(fields, draft);
  read_health(fields, draft);
  read_update(fields, draft);
  read_depends_on(fields, draft);
  read_labels(fields, draft);
  hash_service(draft);
  return draft;
}

}  // namespace holdfast::proto
