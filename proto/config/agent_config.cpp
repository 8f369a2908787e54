#include "proto/config/agent_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/base/text.hpp"
#include "proto/config/config_reader.hpp"
#include "proto/deployment/readers.hpp"
#include "proto/yaml/scalars.hpp"

namespace holdfast::proto {
namespace {

constexpr std::array<std::string_view, 26> kTopKeys{"state_dir",     "run_dir",
                                                    "socket",        "metrics_listen",
                                                    "runtime",       "cni_dir",
                                                    "instance",      "network",
                                                    "registries",    "source",
                                                    "retain",        "resync",
                                                    "labels",        "parallel_downloads",
                                                    "log",           "groups",
                                                    "policy",        "pull",
                                                    "rehearse",      "standby",
                                                    "scrub",         "proxy",
                                                    "drift",         "disk",
                                                    "metrics_hosts", "metrics_token_file"};
constexpr std::array<std::string_view, 2> kNetworkKeys{"subnet", "service_subnet"};
constexpr std::array<std::string_view, 1> kLogKeys{"max_size"};
constexpr std::array<std::string_view, 3> kPullKeys{"bandwidth", "jitter", "keep_blobs"};
constexpr std::array<std::string_view, 1> kRehearseKeys{"every"};
constexpr std::array<std::string_view, 2> kStandbyKeys{"memory_pressure", "memory_available"};
constexpr std::array<std::string_view, 2> kDiskKeys{"low_percent", "low_bytes"};
constexpr std::array<std::string_view, 2> kScrubKeys{"every", "bandwidth"};
constexpr std::array<std::string_view, 3> kRoles{"observe", "rollback", "deploy"};
constexpr std::array<std::string_view, 4> kPolicyKeys{"images", "allowed_host_paths",
                                                      "allowed_secret_paths", "allow_link_local"};
constexpr std::array<std::string_view, 3> kRuntimes{"auto", "runc", "crun"};

constexpr std::size_t kMostSocketPath = 107;  ///< sun_path of unix(7) without its NUL
constexpr Bytes kLeastLog{4096};
constexpr Bytes kLeastScrub{64U << 10};      ///< a layer of 10 GiB then takes two days
constexpr Bytes kLeastBandwidth{16U << 10};  ///< well above the 1 KiB/s that count as a dead line

void read_directories(yaml::Fields& fields, AgentConfig& config) {
  (void)read_path(fields, "state_dir", config.state_dir);
  (void)read_path(fields, "cni_dir", config.cni_dir);
  const bool moved = read_path(fields, "run_dir", config.run_dir);
  if (moved && !fields.has("socket")) config.socket = config.run_dir / "holdfast.sock";
  (void)read_path(fields, "socket", config.socket);
  if (config.socket.native().size() > kMostSocketPath) {
    fields.findings().error(fields.value_mark(fields.has("socket") ? "socket" : "run_dir"),
                            fmt::format("the socket path has {} characters, more than the {} of "
                                        "unix sockets",
                                        config.socket.native().size(), kMostSocketPath),
                            "choose a shorter path");
  }
  if (rules::is_at_or_below(config.run_dir.native(), config.state_dir.native()) ||
      rules::is_at_or_below(config.state_dir.native(), config.run_dir.native())) {
    fields.findings().error(fields.value_mark(fields.has("run_dir") ? "run_dir" : "state_dir"),
                            "state_dir and run_dir must not be inside each other",
                            "run_dir belongs on a tmpfs, state_dir on a disk");
  }
}

bool is_listen_address(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  const auto port = yaml::parse_integer(text.substr(colon + 1));
  const auto host = text.substr(0, colon);
  const bool v6 = host.size() > 2 && host.front() == '[' && host.back() == ']' &&
                  host.substr(1, host.size() - 2).find_first_not_of("0123456789abcdefABCDEF:") ==
                      std::string_view::npos;
  return port && *port <= 65535 && (v6 || rules::parse_ipv4(host));
}

void read_metrics(yaml::Fields& fields, AgentConfig& config) {
  const auto* node = fields.find("metrics_listen");
  if (node == nullptr) return;
  if (node->kind == yaml::Kind::scalar && (node->text.empty() || node->text == "off")) {
    config.metrics_listen.clear();
  } else if (node->kind == yaml::Kind::scalar && is_listen_address(node->text)) {
    config.metrics_listen = node->text;
  } else {
    fields.findings().error(
        node->mark,
        fmt::format("metrics_listen must be an address and a port, not {}", describe(*node)),
        "write 127.0.0.1:9472, or off");
  }
}

/// A host name of RFC 1123, without a port.
bool is_host_name(std::string_view text) {
  constexpr std::size_t kLongest = 253;
  constexpr std::size_t kLongestLabel = 63;
  constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
  if (text.size() > kLongest) return false;
  for (const auto label : split(text, '.')) {
    if (label.empty() || label.size() > kLongestLabel || label.front() == '-' ||
        label.back() == '-' || label.find_first_not_of(kLetters) != std::string_view::npos)
      return false;
  }
  return true;
}

void read_metrics_hosts(yaml::Fields& fields, AgentConfig& config) {
  const auto names = fields.texts("metrics_hosts");
  if (!names) return;
  constexpr std::size_t kMost = 32;
  if (names->size() > kMost)
    fields.findings().error(
        fields.value_mark("metrics_hosts"),
        fmt::format("metrics_hosts has {} names, {} are the most", names->size(), kMost));
  for (const auto& name : *names) {
    if (is_host_name(name.value)) {
      config.metrics_hosts.push_back(name.value);
    } else {
      fields.findings().error(
          name.mark,
          fmt::format("metrics_hosts names \"{}\", which is no host name", yaml::shown(name.value)),
          "write it without scheme and port: web1.example.com");
    }
  }
}

bool is_instance(std::string_view text) {
  return text.size() <= 15 && rules::is_name(text.substr(0, text.find_last_not_of('-') + 1)) &&
         text.front() != '-';
}

void read_instance(yaml::Fields& fields, AgentConfig& config) {
  const auto text = fields.text("instance");
  if (!text) return;
  if (is_instance(text->value)) {
    config.instance = text->value;
    return;
  }
  fields.findings().error(
      text->mark,
      fmt::format("instance is \"{}\", which is not a name for an agent", yaml::shown(text->value)),
      "lower-case letters, digits and dashes, at most 15, not a dash first");
}

bool overlap(const Subnet& a, const Subnet& b) {
  const int shorter = std::min(a.prefix, b.prefix);
  const std::uint32_t mask = shorter == 0 ? 0U : ~std::uint32_t{0} << (32 - shorter);
  return (a.address & mask) == (b.address & mask);
}

void read_subnet(yaml::Fields& fields, std::string_view key, int longest, Subnet& into) {
  const auto text = fields.text(key);
  if (!text) return;
  const auto where = fields.path(key);
  auto subnet = Subnet::parse(text->value);
  if (!subnet) {
    fields.findings().error(text->mark, fmt::format("{}: {}", where, subnet.error().what()),
                            subnet.error().next_step());
    return;
  }
  const auto first = subnet->address >> 24;
  if (subnet->prefix < 8 || subnet->prefix > longest) {
    fields.findings().error(text->mark,
                            fmt::format("{} must have a prefix between 8 and {}", where, longest));
  } else if (first == 0 || first == 127 || first >= 224) {
    fields.findings().error(text->mark,
                            fmt::format("{} is not a network of unicast addresses", where),
                            "choose a private network such as 10.89.0.0/16");
  } else {
    into = *subnet;
  }
}

void read_network(yaml::Fields& top, AgentConfig& config) {
  const auto* node = top.find("network");
  if (node == nullptr) return;
  yaml::Fields fields{*node, "network", kNetworkKeys, top.findings()};
  read_subnet(fields, "subnet", 24, config.subnet);
  read_subnet(fields, "service_subnet", 28, config.service_subnet);
  if (overlap(config.subnet, config.service_subnet)) {
    fields.findings().error(
        fields.value_mark(fields.has("service_subnet") ? "service_subnet" : "subnet"),
        fmt::format("network.subnet {} and network.service_subnet {} overlap", config.subnet.str(),
                    config.service_subnet.str()),
        "choose networks that share no address");
  }
}

void read_labels(yaml::Fields& fields, AgentConfig& config) {
  const auto labels = fields.text_map("labels");
  if (!labels) return;
  for (const auto& [key, value] : *labels) {
    if (rules::is_label(key.value)) {
      config.labels.emplace(key.value, value.value);
    } else {
      fields.findings().error(
          key.mark, fmt::format("\"{}\" is not a name for a label", yaml::shown(key.value)),
          "letters, digits, _ . / and -, at most 63");
    }
  }
}

void read_groups(yaml::Fields& top, AgentConfig& config) {
  const auto* node = top.find("groups");
  if (node == nullptr) return;
  yaml::Fields fields{*node, "groups", kRoles, top.findings()};
  for (const auto role : kRoles) {
    const auto group = fields.text(role);
    if (!group) continue;
    if (group->value.find(':') == std::string::npos && !rules::check_user(group->value)) {
      config.groups.emplace(std::string{role}, group->value);
    } else {
      fields.findings().error(
          group->mark, fmt::format("{} is \"{}\", which is not a unix group", fields.path(role),
                                   yaml::shown(group->value)));
    }
  }
}

template <class Rule>
void read_prefixes(yaml::Fields& fields, std::string_view key, Rule rule,
                   std::vector<std::string>& into) {
  const auto paths = fields.texts(key);
  if (!paths) return;
  for (std::size_t i = 0; i < paths->size(); ++i) {
    const auto& [value, mark] = (*paths)[i];
    if (accept(fields.findings(), mark, fmt::format("{}[{}]", fields.path(key), i), rule(value)))
      into.push_back(value);
  }
}

void read_policy(yaml::Fields& top, AgentConfig& config) {
  const auto* node = top.find("policy");
  if (node == nullptr) return;
  yaml::Fields fields{*node, "policy", kPolicyKeys, top.findings()};
  if (const auto* images = fields.find("images")) {
    json::Object ignored;
    config.image_policy = read_image_policy(*images, "policy.images", top.findings(), ignored);
  }
  read_prefixes(fields, "allowed_host_paths", rules::check_host_source, config.allowed_host_paths);
  if (const auto allowed = fields.flag("allow_link_local")) config.allow_link_local = *allowed;
  read_prefixes(fields, "allowed_secret_paths", rules::check_path, config.allowed_secret_paths);
}

void read_scrub(yaml::Fields& top, AgentConfig& config) {
  const auto* node = top.find("scrub");
  if (node == nullptr) return;
  if (node->kind == yaml::Kind::scalar && node->text == "off") {
    config.scrub.every = Milliseconds{0};
    return;
  }
  yaml::Fields scrub{*node, "scrub", kScrubKeys, top.findings()};
  if (const auto every =
          scrub.duration("every", {std::chrono::minutes{1}, std::chrono::hours{24 * 366}}))
    config.scrub.every = *every;
  if (const auto rate = scrub.size("bandwidth", kLeastScrub)) config.scrub.bandwidth = *rate;
}

void read_rest(yaml::Fields& fields, AgentConfig& config) {
  if (const auto found = fields.choice("runtime", kRuntimes))
    config.runtime = static_cast<RuntimeChoice>(*found);
  if (const auto retain = fields.number("retain", {1, 100}))
    config.retain = static_cast<std::uint32_t>(*retain);
  if (const auto resync = fields.duration("resync", {Milliseconds{1'000}, std::chrono::hours{1}}))
    config.resync = *resync;
  if (const auto slots = fields.number("parallel_downloads", {1, 32}))
    config.parallel_downloads = static_cast<std::uint32_t>(*slots);
  if (const auto* node = fields.find("log")) {
    yaml::Fields log{*node, "log", kLogKeys, fields.findings()};
    if (const auto size = log.size("max_size", kLeastLog)) config.log_max_size = *size;
  }
  if (const auto* node = fields.find("pull")) {
    yaml::Fields pull{*node, "pull", kPullKeys, fields.findings()};
    if (const auto rate = pull.size("bandwidth", kLeastBandwidth)) config.pull_bandwidth = *rate;
    if (const auto keep = pull.flag("keep_blobs")) config.keep_blobs = *keep;
    if (const auto jitter = pull.duration("jitter", {Milliseconds{0}, std::chrono::hours{24}}))
      config.pull_jitter = *jitter;
  }
}

void read_disk(yaml::Fields& top, AgentConfig& config) {
  const auto* node = top.find("disk");
  if (node == nullptr) return;
  yaml::Fields disk{*node, "disk", kDiskKeys, top.findings()};
  if (const auto percent = disk.number("low_percent", {0, 100}))
    config.disk.low_percent = static_cast<std::uint32_t>(*percent);
  if (const auto least = disk.size("low_bytes")) config.disk.low_bytes = *least;
}

/// What keeps the way back ready.
void read_readiness(yaml::Fields& fields, AgentConfig& config) {
  if (const auto* node = fields.find("rehearse")) {
    yaml::Fields rehearse{*node, "rehearse", kRehearseKeys, fields.findings()};
    rehearse.require("every", "write every: 24h");
    if (const auto every =
            rehearse.duration("every", {Milliseconds{60'000}, std::chrono::hours{24 * 90}}))
      config.rehearse_every = *every;
  }
  if (const auto* node = fields.find("standby")) {
    yaml::Fields standby{*node, "standby", kStandbyKeys, fields.findings()};
    if (const auto percent = standby.number("memory_pressure", {0, 100}))
      config.standby.memory_pressure = static_cast<std::uint32_t>(*percent);
    if (const auto least = standby.size("memory_available"))
      config.standby.memory_available = *least;
  }
}

/// Defaults are a valid configuration, so a file of comments alone is one too.
bool says_nothing(std::string_view text) {
  for (const auto line : split(text, '\n')) {
    const auto content = trim(line);
    if (!content.empty() && content.front() != '#') return false;
  }
  return true;
}

AgentConfig read_config(const yaml::Node& root, yaml::Findings& findings) {
  AgentConfig config;
  yaml::Fields fields{root, "", kTopKeys, findings};
  if (root.kind != yaml::Kind::mapping) return config;
  read_directories(fields, config);
  read_metrics(fields, config);
  read_metrics_hosts(fields, config);
  (void)read_path(fields, "metrics_token_file", config.metrics_token_file);
  read_instance(fields, config);
  read_network(fields, config);
  read_registries(fields, config);
  if (const auto proxy = read_proxy(fields)) config.proxy = *proxy;
  read_labels(fields, config);
  read_groups(fields, config);
  read_policy(fields, config);
  read_scrub(fields, config);
  read_source(fields, config);
  read_rest(fields, config);
  read_readiness(fields, config);
  read_disk(fields, config);
  json::Object unused;
  config.drift = read_drift_policy(fields, unused);
  return config;
}

}  // namespace

std::vector<std::string> own_places(const AgentConfig& config) {
  std::vector<std::string> places{config.state_dir.string(), config.run_dir.string(),
                                  config.file.string()};
  for (const auto& [host, registry] : config.registries) places.push_back(registry.credentials);
  for (const auto& file :
       {config.source.client_key, config.source.token_file, config.metrics_token_file.string()})
    places.push_back(file);
  std::erase(places, "");
  return places;
}

ParsedConfig parse_agent_config(std::string_view yaml_text, std::string_view file) {
  if (says_nothing(yaml_text)) return {.config = AgentConfig{}, .errors = {}};
  yaml::Findings findings;
  ParsedConfig result;
  const auto root = yaml::read(yaml_text, findings);
  if (root) {
    auto config = read_config(*root, findings);
    if (!findings.has_errors()) result.config = std::move(config);
  }
  result.errors = diagnostics(findings, yaml::Severity::error, file);
  return result;
}

}  // namespace holdfast::proto
