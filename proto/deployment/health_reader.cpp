#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "proto/deployment/compose_forms.hpp"
#include "proto/deployment/other_words.hpp"
#include "proto/deployment/readers.hpp"
#include "proto/yaml/scalars.hpp"

namespace holdfast::proto {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr std::array<std::string_view, 13> kHealthKeys{
    "http",    "tcp",       "exec",   "sd_notify", "interval", "timeout", "start_period",
    "healthy", "unhealthy", "status", "body",      "host",     "headers"};
constexpr yaml::Alias kAliases[] = {
    {"test", "did you mean \"exec\"?"},         {"command", "did you mean \"exec\"?"},
    {"http_get", "did you mean \"http\"?"},     {"tcp_socket", "did you mean \"tcp\"?"},
    {"retries", "did you mean \"unhealthy\"?"},
};
constexpr std::array<std::string_view, 4> kProbeKeys{"http", "tcp", "exec", "sd_notify"};
constexpr std::string_view kHttpForm = "write \"http://:8080/healthz\"";
constexpr std::string_view kTcpForm = "write \"tcp://:6379\", \":6379\" or the port alone";
constexpr std::size_t kMostBody = 1024;
constexpr std::size_t kMostHost = 255;
constexpr std::size_t kMostHeaders = 16;
constexpr std::size_t kMostHeaderValue = 1024;

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
              rules::check_no_compose_test(exec.command)) ||
      !accept(fields.findings(), node->mark, fields.path("exec"),
              compose::check_program(exec.command)))
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

/// A name or address, with a port if need be (RFC 9110, 7.2).
bool is_host(std::string_view text) {
  return !text.empty() && text.size() <= kMostHost &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  std::string_view{".-_:[]"}.find(c) != std::string_view::npos;
         });
}

/// A token (RFC 9110, 5.6.2), and none of those that the probe itself decides.
rules::Verdict check_header_name(std::string_view name) {
  const bool token =
      !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
        return c > ' ' && c < '\x7f' &&
               std::string_view{"\"(),/:;<=>?@[\\]{}"}.find(c) == std::string_view::npos;
      });
  if (!token) return rules::Fault{"is not the name of a header", "write Accept or X-Probe"};
  std::string lower{name};
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (lower == "host") return rules::Fault{"has a key of its own", "write health.host"};
  for (const std::string_view ours : {"connection", "content-length", "transfer-encoding"})
    if (lower == ours) return rules::Fault{"is decided by the probe", ""};
  return std::nullopt;
}

rules::Verdict check_header_value(std::string_view value) {
  const bool plain =
      value.size() <= kMostHeaderValue &&
      std::all_of(value.begin(), value.end(), [](char c) { return c >= ' ' && c < '\x7f'; });
  if (plain) return std::nullopt;
  return rules::Fault{
      fmt::format("must be at most {} printable characters of ASCII", kMostHeaderValue), ""};
}

void read_headers(yaml::Fields& fields, json::Object& canon, HttpProbe& http) {
  const auto headers = fields.text_map("headers");
  if (!headers) return;
  if (headers->size() > kMostHeaders)
    fields.findings().error(
        fields.value_mark("headers"),
        fmt::format("{} has more than {} headers", fields.path("headers"), kMostHeaders));
  json::Object written;
  for (const auto& [name, value] : *headers) {
    const auto where = fmt::format("{}.{}", fields.path("headers"), yaml::shown(name.value));
    if (!accept(fields.findings(), name.mark, where, check_header_name(name.value)) ||
        !accept(fields.findings(), value.mark, where, check_header_value(value.value)))
      continue;
    http.headers.emplace(name.value, value.value);
    written.set(name.value, value.value);
  }
  canon.set("headers", written);
}

/// What a program behind names needs to hear (Django's ALLOWED_HOSTS, a proxy's X-Forwarded-Proto).
void read_request(yaml::Fields& fields, json::Object& canon, std::optional<Probe>& probe) {
  auto* http = probe ? std::get_if<HttpProbe>(&*probe) : nullptr;
  if (http == nullptr) return;
  if (const auto host = fields.text("host")) {
    if (is_host(host->value)) {
      http->host = host->value;
      canon.set("host", host->value);
    } else {
      fields.findings().error(host->mark, fields.path("host") + " is not a host name",
                              "write shop.example");
    }
  }
  read_headers(fields, canon, *http);
}

void read_expectations(yaml::Fields& fields, json::Object& canon, std::optional<Probe>& probe) {
  const auto status = fields.number("status", {100, 599});
  const auto body = fields.text("body");
  auto* http = probe ? std::get_if<HttpProbe>(&*probe) : nullptr;
  for (const std::string_view key : {"status", "body", "host", "headers"}) {
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
  read_request(fields, canon, probe);
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
