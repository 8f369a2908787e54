#pragma once
/// \file
/// agent.yaml: where things are and how this host behaves. Strict like the deployment document.

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/base/strong.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::proto {

/// The way out of this network. URLs may hold a login, which never goes into messages or logs.
struct ProxyConfig {
  std::string http;   ///< for http:// URLs: "http://proxy.example.com:3128"; empty: directly
  std::string https;  ///< for https:// URLs
  std::vector<std::string> no_proxy;  ///< hosts, domains, IPv4 networks, or "*"
  bool operator==(const ProxyConfig&) const = default;
};

struct RegistryConfig {
  bool plain_http = false;
  std::string ca;  ///< PEM file
  /// Base URLs, tried in order before the registry itself. With "/v2/" in the path it is the API
  /// already: "https://harbor.example.com/v2/proxy".
  std::vector<std::string> mirrors;
  std::string credentials;           ///< docker config.json / auth.json
  std::optional<ProxyConfig> proxy;  ///< in place of the host's
  /// "gitlab.example.com", "auth.example.com:8443": other hosts that may be asked for its tokens
  /// and get its login, over https only.
  std::vector<std::string> token_servers = {};
  bool operator==(const RegistryConfig&) const = default;
};

/// IPv4 network in CIDR form, e.g. 10.89.0.0/16; host bits are zero.
struct Subnet {
  std::uint32_t address = 0;  ///< host byte order
  int prefix = 0;
  [[nodiscard]] static Result<Subnet> parse(std::string_view text);
  [[nodiscard]] std::string str() const;
  bool operator==(const Subnet&) const = default;
};

/// When frozen instances are given up before their time. Pressure is used where the kernel tells
/// it.
struct StandbyRule {
  std::uint32_t memory_pressure = 20;   ///< percent of the last 10 s; 0: never
  Bytes memory_available{64ULL << 20};  ///< less than this, without pressure figures; 0: never
  bool operator==(const StandbyRule&) const = default;
};

/// When the file system of state_dir counts as low: less than both is free. 0 for either: never.
struct DiskRule {
  std::uint32_t low_percent = 5;  ///< of its size
  Bytes low_bytes{256ULL << 20};
  [[nodiscard]] bool is_low(std::uint64_t free_bytes, std::uint64_t size_bytes) const {
    return free_bytes < low_bytes.value() && free_bytes < size_bytes / 100 * low_percent;
  }
  bool operator==(const DiskRule&) const = default;
};

/// How often every layer on disk is hashed again, and how fast.
struct ScrubConfig {
  Milliseconds every{std::chrono::hours{24}};  ///< 0: never
  Bytes bandwidth{32U << 20};                  ///< a second
  bool operator==(const ScrubConfig&) const = default;
};

/// Where deployments come from: a file or a URL.
struct SourceConfig {
  std::filesystem::path file;  ///< empty: none
  std::string url;             ///< https; empty: none
  /// The first root of trust, a signed file: documents must be signed by its keys. Empty: what the
  /// file says is believed because only root can write it.
  std::filesystem::path trust;
  Milliseconds interval{60'000};  ///< between two polls of a URL
  /// Without a good answer; an hour, or twice the interval, where nothing else is written.
  Milliseconds stale_after{std::chrono::hours{1}};
  std::string ca;                  ///< PEM, in place of the system's
  std::string client_certificate;  ///< PEM
  std::string client_key;          ///< PEM
  std::string token_file;          ///< holds a bearer token
  [[nodiscard]] bool empty() const { return file.empty() && url.empty(); }
  bool operator==(const SourceConfig&) const = default;
};

enum class RuntimeChoice : std::uint8_t { automatic, runc, crun };

/// What stands while the process lives: other values need a restart.
struct FixedSettings {
  std::filesystem::path file{};  ///< that it was read from; set by who read it
  std::filesystem::path state_dir = "/var/lib/holdfast";
  std::filesystem::path run_dir = "/run/holdfast";
  std::filesystem::path socket = "/run/holdfast/holdfast.sock";
  std::string metrics_listen = "127.0.0.1:9472";  ///< empty: off
  /// Other names by which this host is asked for its metrics; addresses and its own name need none.
  std::vector<std::string> metrics_hosts;
  std::filesystem::path metrics_token_file;  ///< holds what a scrape has to bear; empty: nothing
  RuntimeChoice runtime = RuntimeChoice::automatic;
  std::filesystem::path cni_dir = "/usr/lib/cni";
  std::string instance = "main";  ///< [a-z0-9]([a-z0-9-]{0,14})
  Subnet subnet{0x0A590000, 16};
  Subnet service_subnet{0x0A5A0000, 16};
  /// Containers may reach 169.254.0.0/16, 100.100.100.200 and 168.63.129.16 (but for their port 53,
  /// which they always may): clouds hand out the host's credentials there.
  bool allow_link_local = false;
  std::map<std::string, RegistryConfig> registries;
  ProxyConfig proxy;  ///< for all registries that do not say otherwise
  std::uint32_t parallel_downloads = 3;
  bool keep_blobs = false;  ///< compressed layers stay, for export without a registry
  Bytes pull_bandwidth{0};  ///< a second, of all downloads together; 0: no limit
  ScrubConfig scrub;
  Bytes log_max_size{10U << 20};  ///< per log file; two files are kept
  bool operator==(const FixedSettings&) const = default;
};

/// What SIGHUP may change.
struct LiveSettings {
  SourceConfig source;
  std::uint32_t retain = 5;  ///< last good generations kept ready for rollback
  Milliseconds resync{30'000};
  Milliseconds rehearse_every{0};  ///< 0: only when asked
  StandbyRule standby;
  DiskRule disk;
  std::map<std::string, std::string> labels;  ///< `host` is the host's name, unless it is set
  Milliseconds pull_jitter{0};  ///< longest random wait before pulls that a source asks for
  std::map<std::string, std::string> groups;  ///< role (observe, rollback, deploy) → unix group
  /// Prefixes that volumes may mount, of instances made from now on; empty: the built-in refusals
  /// only.
  std::vector<std::string> allowed_host_paths;
  /// Prefixes that secrets may be read from, whoever owns the files, for instances made from now
  /// on; empty: any file that only root can write or replace.
  std::vector<std::string> allowed_secret_paths;
  ImagePolicy image_policy;  ///< for the whole host, besides the deployment's
  DriftPolicy drift;         ///< counts before the deployment's
  bool operator==(const LiveSettings&) const = default;
};

struct AgentConfig : FixedSettings, LiveSettings {
  [[nodiscard]] const FixedSettings& fixed() const { return *this; }
  [[nodiscard]] const LiveSettings& live() const { return *this; }
  void change(LiveSettings to) { static_cast<LiveSettings&>(*this) = std::move(to); }
};

/// The agent's own directories, and the files of its keys and logins: never a service's, as a
/// volume, a secret or a config.
[[nodiscard]] std::vector<std::string> own_places(const AgentConfig& config);

struct ParsedConfig {
  std::optional<AgentConfig> config;
  std::vector<Diagnostic> errors;
};

/// Same strictness and messages as parse_deployment.
[[nodiscard]] ParsedConfig parse_agent_config(std::string_view yaml, std::string_view file);

}  // namespace holdfast::proto
