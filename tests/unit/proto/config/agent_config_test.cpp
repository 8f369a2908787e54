#include "proto/config/agent_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace holdfast::proto {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string errors_of(std::string_view text) {
  std::string all;
  const auto parsed = parse_agent_config(text, "a.yaml");
  for (const auto& error : parsed.errors) all += error.to_string() + "\n";
  EXPECT_EQ(parsed.config.has_value(), parsed.errors.empty()) << text;
  return all;
}

AgentConfig good(std::string_view text) {
  const auto parsed = parse_agent_config(text, "a.yaml");
  for (const auto& error : parsed.errors) ADD_FAILURE() << error.to_string();
  return parsed.config.value_or(AgentConfig{});
}

TEST(AgentConfig, ReadsASignedSource) {
  EXPECT_EQ(good("source: {file: /etc/d.json, trust: /etc/root.json, stale_after: 48h}").source,
            (SourceConfig{.file = "/etc/d.json",
                          .trust = "/etc/root.json",
                          .stale_after = std::chrono::hours{48}}));
  EXPECT_EQ(
      good(R"(source: {url: "https://c.example.com:8443/shop/d.json", trust: /r.json, interval: 30s,
  ca: /ca.pem, client_certificate: /c.pem, client_key: /c.key, token_file: /token})")
          .source,
      (SourceConfig{.url = "https://c.example.com:8443/shop/d.json",
                    .trust = "/r.json",
                    .interval = std::chrono::seconds{30},
                    .ca = "/ca.pem",
                    .client_certificate = "/c.pem",
                    .client_key = "/c.key",
                    .token_file = "/token"}));
}

TEST(AgentConfig, ASourceIsStaleLaterThanItIsPolled) {
  EXPECT_EQ(good(R"(source: {url: "https://a/b", trust: /r, interval: 3h})").source.stale_after,
            std::chrono::hours{6});
  EXPECT_THAT(
      errors_of(R"(source: {url: "https://a/b", trust: /r, interval: 2h, stale_after: 2h})"),
      HasSubstr("source.stale_after must be longer than source.interval"));
}

TEST(AgentConfig, NeverRepeatsTheUrlOfASource) {
  EXPECT_EQ(errors_of("source: {url: \"https://u:hunter2@a/b\", trust: /r}").find("hunter2"),
            std::string::npos);
}

TEST(AgentConfig, ReadsEveryKey) {
  const auto config = good(R"(
state_dir: /srv/a/state
run_dir: /run/a
socket: /run/a/x.sock
metrics_listen: 127.0.0.1:0
metrics_hosts: [web1.example.com, metrics]
metrics_token_file: /etc/a/token
runtime: runc
cni_dir: /opt/cni
instance: a-1
network: {subnet: 10.1.0.0/16, service_subnet: 10.2.3.0/24}
registries:
  "127.0.0.1:5000": {plain_http: true, proxy: off}
  registry.example.com: {ca: /etc/ca.pem, mirrors: [https://m.example.com/base], credentials: /etc/auth.json, token_servers: [auth.example.com, "t.example.com:8443"]}
source: {file: /etc/d.yaml}
retain: 7
resync: 5s
rehearse: {every: 24h}
standby: {memory_pressure: 35, memory_available: 1Gi}
labels: {role: web, "site/row": "4"}
parallel_downloads: 2
log: {max_size: 64Ki}
pull: {bandwidth: 10Mi, jitter: 30s, keep_blobs: true}
scrub: {every: 12h, bandwidth: 8Mi}
proxy: {http: "http://p:3128", https: "http://u:secret@p:3128", no_proxy: [localhost, .lan, 10.0.0.0/8]}
groups: {observe: users, deploy: "1000"}
disk: {low_percent: 10, low_bytes: 1Gi}
policy: {images: {require_semver_tag: true}, allowed_host_paths: [/srv/data], allowed_secret_paths: [/run/keys], allow_link_local: true}
)");
  EXPECT_EQ(config.state_dir, "/srv/a/state");
  EXPECT_EQ(config.run_dir, "/run/a");
  EXPECT_EQ(config.socket, "/run/a/x.sock");
  EXPECT_EQ(config.metrics_listen, "127.0.0.1:0");
  EXPECT_THAT(config.metrics_hosts, ElementsAre("web1.example.com", "metrics"));
  EXPECT_EQ(config.metrics_token_file, "/etc/a/token");
  EXPECT_THAT(own_places(config), ::testing::Contains("/etc/a/token"));
  EXPECT_EQ(config.runtime, RuntimeChoice::runc);
  EXPECT_EQ(config.cni_dir, "/opt/cni");
  EXPECT_EQ(config.instance, "a-1");
  EXPECT_EQ(config.subnet.str(), "10.1.0.0/16");
  EXPECT_EQ(config.service_subnet.str(), "10.2.3.0/24");
  EXPECT_TRUE(config.registries.at("127.0.0.1:5000").plain_http);
  const auto& registry = config.registries.at("registry.example.com");
  EXPECT_EQ(registry.ca, "/etc/ca.pem");
  EXPECT_EQ(registry.credentials, "/etc/auth.json");
  EXPECT_THAT(registry.mirrors, ElementsAre("https://m.example.com/base"));
  EXPECT_THAT(registry.token_servers, ElementsAre("auth.example.com", "t.example.com:8443"));
  EXPECT_EQ(config.source, (SourceConfig{.file = "/etc/d.yaml"}));
  EXPECT_EQ(config.retain, 7U);
  EXPECT_EQ(config.resync, Milliseconds{5000});
  EXPECT_EQ(config.rehearse_every, std::chrono::hours{24});
  EXPECT_EQ(config.standby, (StandbyRule{35, Bytes{1U << 30U}}));
  EXPECT_EQ(config.labels.at("site/row"), "4");
  EXPECT_EQ(config.parallel_downloads, 2U);
  EXPECT_EQ(config.log_max_size, Bytes{65536});
  EXPECT_EQ(config.pull_bandwidth, Bytes{10U << 20});
  EXPECT_TRUE(config.keep_blobs);
  EXPECT_EQ(config.pull_jitter, Milliseconds{30'000});
  EXPECT_EQ(config.proxy.https, "http://u:secret@p:3128");
  EXPECT_THAT(config.proxy.no_proxy, ElementsAre("localhost", ".lan", "10.0.0.0/8"));
  EXPECT_EQ(config.registries.at("127.0.0.1:5000").proxy, ProxyConfig{});
  EXPECT_FALSE(registry.proxy);
  EXPECT_EQ(config.scrub.every, std::chrono::hours{12});
  EXPECT_EQ(config.scrub.bandwidth, Bytes{8U << 20});
  EXPECT_EQ(config.groups.at("deploy"), "1000");
  EXPECT_TRUE(config.image_policy.require_semver_tag);
  EXPECT_TRUE(config.allow_link_local);
  EXPECT_THAT(config.allowed_host_paths, ElementsAre("/srv/data"));
  EXPECT_THAT(config.allowed_secret_paths, ElementsAre("/run/keys"));
  EXPECT_EQ(config.disk, (DiskRule{.low_percent = 10, .low_bytes = Bytes{1ULL << 30}}));
}

TEST(AgentConfig, HasDefaultsForEverything) {
  for (const std::string_view text : {"", "# nothing\n\n  # yet\n", "{}"}) {
    const auto config = good(text);
    EXPECT_EQ(config.state_dir, "/var/lib/holdfast");
    EXPECT_EQ(config.socket, "/run/holdfast/holdfast.sock");
    EXPECT_EQ(config.subnet.str(), "10.89.0.0/16");
    EXPECT_EQ(config.service_subnet.str(), "10.90.0.0/16");
  }
}

TEST(AgentConfig, SwitchesTheScrubOff) {
  EXPECT_EQ(good("scrub: off").scrub.every, Milliseconds{0});
  EXPECT_EQ(good("").scrub.every, std::chrono::hours{24});
}

TEST(AgentConfig, PutsTheSocketIntoTheRunDirectory) {
  EXPECT_EQ(good("run_dir: /run/b").socket, "/run/b/holdfast.sock");
}

TEST(AgentConfig, SwitchesMetricsOff) {
  EXPECT_EQ(good("metrics_listen: off").metrics_listen, "");
  EXPECT_EQ(good("metrics_listen: \"\"").metrics_listen, "");
  EXPECT_EQ(good("metrics_listen: \"[::1]:9472\"").metrics_listen, "[::1]:9472");
}

TEST(AgentConfig, NeverRepeatsThePasswordOfAProxy) {
  EXPECT_EQ(errors_of("proxy: {https: \"ftp://u:secret@p\"}").find("secret"), std::string::npos);
}

struct Bad {
  std::string_view text;
  std::string_view expected;
};

TEST(AgentConfig, SaysWhatIsWrongAndWhere) {
  const Bad cases[] = {
      {"stat_dir: /x", "a.yaml:1:1: unknown key \"stat_dir\" (did you mean \"state_dir\"?)"},
      {"retain: 5\nretain: 6", "a.yaml:2:1: duplicate key \"retain\" (first at line 1)"},
      {"state_dir: relative", "a.yaml:1:12: state_dir must be an absolute path"},
      {"state_dir: /a/../b", "a.yaml:1:12: state_dir must be a clean path"},
      {"state_dir: /run/holdfast/x", "must not be inside each other"},
      {"metrics_listen: 9472", "metrics_listen must be an address and a port"},
      {"metrics_listen: localhost:1", "metrics_listen must be an address and a port"},
      {"metrics_hosts: [\"http://web1\"]", "a.yaml:1:17: metrics_hosts names \"http://web1\""},
      {"metrics_hosts: [\"web1:9472\"]", "write it without scheme and port"},
      {"metrics_hosts: [-a.example.com]", "which is no host name"},
      {"metrics_hosts: web1", "metrics_hosts"},
      {"metrics_token_file: token", "metrics_token_file"},
      {"scrub: {every: 1s}", "scrub.every"},
      {"scrub: {evry: 1h}", "did you mean \"every\"?"},
      {"scrub: {bandwidth: 1Ki}", "scrub.bandwidth"},
      {"proxy: {https: \"u:secret@p\"}", "a.yaml:1:16: proxy.https is not the URL of a proxy"},
      {"proxy: {no_proxy: [\"http://x\"]}", "which is no host"},
      {"runtime: docker", "runtime must be one of auto, runc, crun"},
      {"runtime: crunn", "did you mean \"crun\"?"},
      {"instance: Main", "instance is \"Main\""},
      {"instance: abcdefghijklmnop", "at most 15"},
      {"network: {subnet: 10.89.0.0}", "\"10.89.0.0\" is not an IPv4 network"},
      {"network: {subnet: 10.89.1.0/16}", "write 10.89.0.0/16"},
      {"network: {subnet: 10.90.0.0/15}", "overlap"},
      {"network: {subnet: 127.0.0.0/8}", "unicast"},
      {"network: {subnet: 10.0.0.0/30}", "prefix between 8 and 24"},
      {"registries: {\"https://r.io\": {}}", "is not a registry host"},
      {"registries: {index.docker.io: {}}", "write docker.io"},
      {"registries: {r.io: {token_servers: [\"https://a.io\"]}}", "which is no host"},
      {"registries: {r.io: {token_servers: [a.io/path]}}", "which is no host"},
      {"registries: {r.io: {plain_htp: true}}", "did you mean \"plain_http\"?"},
      {"registries: {r.io: {plain_http: yes}}", "must be true or false, not yes (write true)"},
      {"registries: {r.io: {mirrors: [\"https://u:p@m.io\"]}}", "not a base URL"},
      {"registries: {r.io: {plain_http: true, ca: /x}}", "no meaning with plain_http"},
      {"source: {}", "source needs either file or url"},
      {"source: {file: /a, url: \"https://a/b\", trust: /r}", "source needs either file or url"},
      {"source: {url: \"https://a/b\"}", "source.url needs source.trust"},
      {"source: {url: \"http://a/b\", trust: /r}", "not the https URL of a document"},
      {"source: {url: \"https://u:p@a/b\", trust: /r}", "not the https URL of a document"},
      {"source: {url: \"https://a/b?token=x\", trust: /r}", "not the https URL of a document"},
      {"source: {url: \"https://a/\", trust: /r}", "not the https URL of a document"},
      {"source: {url: \"https://a/b\", trust: /r, client_key: /k}", "belong together"},
      {"source: {url: \"https://a/b\", trust: /r, client_certificate: /c}", "belong together"},
      {"source: {url: \"https://a/b\", trust: /r, interval: 100ms}", "source.interval"},
      {"source: {file: /a, interval: 60s}", "source.interval has no meaning without url"},
      {"source: {file: /a, token_file: /t}", "source.token_file has no meaning without url"},
      {"source: {file: /a, trust: root.json}", "source.trust"},
      {"source: /etc/d.yaml", "source must be a mapping"},
      {"retain: 0", "retain is 0, but must be between 1 and 100"},
      {"resync: 30", "add a unit: 30s"},
      {"rehearse: {}", "write every: 24h"},
      {"rehearse: {every: 1s}", "rehearse.every"},
      {"standby: {memory_pressure: 101}", "standby.memory_pressure"},
      {"standby: {pressure: 1}", "standby"},
      {"labels: {role: 5}", "labels.role must be a string, not the number 5"},
      {"groups: {admin: root}", "unknown key \"admin\" in groups"},
      {"groups: {deploy: \"a b\"}", "not a unix group"},
      {"disk: {low_percent: 101}", "disk.low_percent"},
      {"policy: {allowed_secret_paths: [keys]}", "must be an absolute path"},
      {"policy: {allowed_host_paths: [/proc]}", "must not be at or below /proc"},
      {"- a", "the document must be a mapping, not a list"},
      {"state_dir:", "state_dir has no value"},
  };
  for (const auto& c : cases) EXPECT_THAT(errors_of(c.text), HasSubstr(std::string{c.expected}));
}

TEST(AgentConfig, RefusesASocketPathThatUnixCannotBind) {
  EXPECT_THAT(errors_of("run_dir: /" + std::string(110, 'a')), HasSubstr("more than the 107"));
}

TEST(AgentConfig, ReportsEveryFaultAtOnce) {
  const auto parsed = parse_agent_config("retain: x\nresync: 5\nlabel: {}\nruntime: x\n", "a.yaml");
  ASSERT_EQ(parsed.errors.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(parsed.errors[i].line, i + 1);
}

TEST(Subnet, ReadsAndPrintsTheSameText) {
  for (const std::string text : {"0.0.0.0/0", "10.89.0.0/16", "255.255.255.255/32"})
    EXPECT_EQ(Subnet::parse(text)->str(), text);
  for (const std::string_view text :
       {"", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0/8", "010.0.0.0/8", "a.b.c.d/8",
        "10.0.0.0/8/8", "10.0.0.0/-1", "10.0.0.256/32"})
    EXPECT_FALSE(Subnet::parse(text)) << text;
}

TEST(DiskRule, CallsLowWhatIsBelowBothBounds) {
  constexpr std::uint64_t kMiB = 1ULL << 20;
  const DiskRule rule;
  EXPECT_TRUE(rule.is_low(200 * kMiB, 20'000 * kMiB));
  EXPECT_FALSE(rule.is_low(300 * kMiB, 2'000'000 * kMiB)) << "a large disk has room left";
  EXPECT_FALSE(rule.is_low(60 * kMiB, 64 * kMiB)) << "a small disk may be empty";
  EXPECT_TRUE(rule.is_low(2 * kMiB, 64 * kMiB));
  EXPECT_FALSE((DiskRule{.low_percent = 0}).is_low(0, 64 * kMiB));
  EXPECT_FALSE((DiskRule{.low_bytes = Bytes{0}}).is_low(0, 64 * kMiB));
}

}  // namespace
}  // namespace holdfast::proto
