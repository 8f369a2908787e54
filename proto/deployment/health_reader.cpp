#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "proto/deployment/other_words.hpp"
#include "proto/deployment/readers.hpp"
#include "proto/yaml/scalars.hpp"

namespace holdfast::proto {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr std::array<std::string_view, 11> kHealthKeys{
    "http",         "tcp",     "exec",      "sd_notify", "interval", "timeout",
    "start_period", "healthy", "unhealthy", "status",    "body"};
constexpr yaml::Alias kAliases[] = {
    {"test", "did you mean \"exec\"?"},         {"command", "did you mean \"exec\"?"},
    {"http_get", "did you mean \"http\"?"},     {"tcp_socket", "did you mean \"tcp\"?"},
    {"retries", "did you mean \"unhealthy\"?"},
};
constexpr std::array<std::string_view, 4> kProbeKeys{"http", "tcp", "exec", "sd_notify"};
constexpr std::string_view kHttpForm = "write \"http://:8080/healthz\"";
constexpr std::string_view kTcpForm = "write \"tcp://:6379\", \":6379\" or the port alone";
constexpr std::size_t kMostBody = 1024;

bool is_request_path(std::string_view text) {
  return text.starts_with('/') && text.size() <= 1024 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

std::optional<HttpProbe> parse_http(std::string_view text, rules::Fault& fault) {
  constexpr std::string_view kScheme = "http://:";
  if (!text.starts_with(kScheme)) {
    const bool tls = text.starts_with("https://");
    fault = {fmt::format("is \"{}\", {}", yaml::shown(text),
                         tls ? "but probes speak plain HTTP" : "which is not a probe address"),
             tls ? "probe a plain port, or use tcp or exec" : std::string{kHttpForm}};
    return std::nullopt;
  }
  text.remove_prefix(kScheme.size());
  const auto slash = std::min(text.find('/'), text.size());
  const auto port = rules::parse_port(text.substr(0, slash));
  const auto path = slash == text.size() ? std::string_view{"/"} : text.substr(slash);
  if (!port || !is_request_path(path)) {
    fault = {fmt::format("has a bad {}", port ? "path" : "port"), std::string{kHttpForm}};
    return std::nullopt;
  }
  return HttpProbe{.port = *port, .path = std::string{path}, .status = {}, .body = {}};
}

void read_http(yaml::Fields& fields, json::Object& canon, std::optional<Probe>& probe) {
  const auto text = fields.text("http");
  if (!text) return;
  rules::Fault fault;
  auto http = parse_http(text->value, fault);
  if (!http) {
    (void)accept(fields.findings(), text->mark, fields.path("http"), fault);
    return;
  }
  canon.set("http", fmt::format("http://:{}{}", http->port, http->path));
  probe = *std::move(http);
}

void read_tcp(yaml::Fields& fields, json::Object& canon, std::optional<Probe>& probe) {
  const auto* node = fields.find("tcp");
  if (node == nullptr) return;
  std::string_view text = node->text;
  if (text.starts_with("tcp://:")) {
    text.remove_prefix(7);
  } else if (text.starts_with(':')) {
    text.remove_prefix(1);
  }
  const auto port = node->kind == yaml::Kind::scalar ? rules::parse_port(text) : std::nullopt;
  if (!port) {
    fields.findings().error(
        node->mark, fmt::format("{} must be a port, not {}", fields.path("tcp"), value_text(*node)),
        std::string{kTcpForm});
    return;
  }
  canon.set("tcp", fmt::format("tcp://:{}", *port));
  probe = TcpProbe{*port};
}

void read_exec(yaml::Fields& fields, json::Object& canon, std::optional<Probe>& probe) {
  const auto* node = fields.find("exec");
  if (node == nullptr) return;
  if (node->kind != yaml::Kind::sequence || node->items.empty()) {
    fields.findings().error(
        node->mark,
        fmt::format("{} must be a list with a program and its arguments, not {}",
                    fields.path("exec"),
                    node->kind == yaml::Kind::sequence ? "an empty list" : describe(*node)),
        "there is no shell; write [\"/bin/sh\", \"-c\", \"…\"] if one is needed");
    return;
  }
  const auto items = fields.texts("exec");
  if (!items) return;
  ExecProbe exec;
  for (const auto& item : *items) exec.command.push_back(item.value);
  if (!accept(fields.findings(), node->mark, fields.path("exec"),
              rules::check_no_compose_test(exec.command)))
    return;
  canon.set_raw("exec", json::strings(exec.command));
  probe = std::move(exec);
}

void read_notify(yaml::Fields& fields, json::Object& canon, std::optional<Probe>& probe) {
  const auto flag = fields.flag("sd_notify");
  if (!flag) return;
  if (!*flag) {
    fields.findings().error(fields.value_mark("sd_notify"),
                            fmt::format("{} can only be true", fields.path("sd_notify")),
                            "leave it out to probe in another way");
    return;
  }
  canon.set("sd_notify", true);
  probe = NotifyProbe{};
}

/// Exactly one kind of probe. A second one is reported at its own place.
std::optional<Probe> read_probe(yaml::Fields& fields, json::Object& canon) {
  std::optional<Probe> probe;
  std::string_view first;
  for (const auto key : kProbeKeys) {
    if (!fields.has(key)) continue;
    if (!first.empty()) {
      fields.findings().error(fields.mark(key),
                              fmt::format("{} has both {} and {}", fields.path(), first, key),
                              "keep one of them");
      continue;
    }
    first = key;
  }
  if (first.empty()) {
    fields.findings().error(fields.mark(), fmt::format("{} says no probe", fields.path()),
                            "add one of http, tcp, exec or sd_notify");
  }
  if (first == "http") read_http(fields, canon, probe);
  if (first == "tcp") read_tcp(fields, canon, probe);
  if (first == "exec") read_exec(fields, canon, probe);
  if (first == "sd_notify") read_notify(fields, canon, probe);
  return probe;
}

void read_expectations(yaml::Fields& fields, json::Object& canon, std::optional<Probe>& probe) {
  const auto status = fields.number("status", {100, 599});
  const auto body = fields.text("body");
  auto* http = probe ? std::get_if<HttpProbe>(&*probe) : nullptr;
  for (const std::string_view key : {"status", "body"}) {
    if (fields.has(key) && !fields.has("http"))
      fields.findings().error(fields.mark(key),
                              fmt::format("{} needs an http probe", fields.path(key)));
  }
  if (body && (body->value.empty() || body->value.size() > kMostBody)) {
    fields.findings().error(
        body->mark, fmt::format("{} must have 1 to {} characters", fields.path("body"), kMostBody));
    return;
  }
  if (http == nullptr) return;
  if (status) {
    http->status = static_cast<int>(*status);
    canon.set("status", *status);
  }
  if (body) {
    http->body = body->value;
    canon.set("body", body->value);
  }
}

void read_pace(yaml::Fields& fields, json::Object& canon, HealthRule& rule) {
  take(canon, "interval", fields.duration("interval", {Milliseconds{100}, hours{1}}),
       rule.interval);
  take(canon, "timeout", fields.duration("timeout", {Milliseconds{10}, minutes{5}}), rule.timeout);
  take(canon, "start_period", fields.duration("start_period", {Milliseconds{0}, hours{1}}),
       rule.start_period);
  take(canon, "healthy", fields.number("healthy", {1, 100}), rule.healthy);
  take(canon, "unhealthy", fields.number("unhealthy", {1, 100}), rule.unhealthy);
}

}  // namespace

void read_health(yaml::Fields& service, ServiceDraft& draft) {
  const auto* node = service.find("health");
  if (node == nullptr) return;
  yaml::Fields fields{*node, service.path("health"), kHealthKeys, service.findings(), kAliases};
  if (node->kind != yaml::Kind::mapping) return;
  json::Object canon;
  auto probe = read_probe(fields, canon);
  read_expectations(fields, canon, probe);
  HealthRule rule;
  read_pace(fields, canon, rule);
  draft.canon.set("health", canon);
  if (!probe) return;
  const bool needs_network =
      std::holds_alternative<HttpProbe>(*probe) || std::holds_alternative<TcpProbe>(*probe);
  if (needs_network && draft.service.network == NetworkMode::none) {
    const auto key = std::holds_alternative<HttpProbe>(*probe) ? "http" : "tcp";
    fields.findings().error(
        fields.mark(key),
        fmt::format("{} cannot reach a service with network none", fields.path(key)),
        "use exec or sd_notify");
  }
  rule.probe = *std::move(probe);
  draft.service.health = std::move(rule);
}

}  // namespace holdfast::proto
