#pragma once
/// \file
/// The deployment document: what a host runs (packaging/doc/design.md 7). A `Deployment` exists
/// only if the document was valid.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/base/strong.hpp"
#include "proto/deployment/drift.hpp"
#include "proto/digest.hpp"
#include "proto/image_ref.hpp"

namespace holdfast::proto {

using ServiceName = StrongString<struct ServiceNameTag>;  ///< [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?

enum class Transport : std::uint8_t { tcp, udp };

/// "80:8080", "127.0.0.1:9000:9000/udp".
struct PublishedPort {
  std::string host_ip;  ///< IPv4; empty: every address of the host
  std::uint16_t host_port = 0;
  std::uint16_t container_port = 0;
  Transport transport = Transport::tcp;
  auto operator<=>(const PublishedPort&) const = default;
};

/// Permission bits of a file, 0 to 07777.
using FileMode = std::uint32_t;

struct VolumeMount {
  std::string source;  ///< absolute path on the host, or the name of a volume kept by the agent
  std::string target;  ///< absolute path in the container
  bool read_only = false;
  std::string subpath{};           ///< of a named volume; empty: all of it
  std::string owner{};             ///< of what is mounted, as `Security::user`; empty: left alone
  std::optional<FileMode> mode{};  ///< of what is mounted; none: left alone
  [[nodiscard]] bool is_host_path() const { return !source.empty() && source.front() == '/'; }
  bool operator==(const VolumeMount&) const = default;
};

struct TmpfsMount {
  std::string target;
  std::optional<Bytes> size;       ///< none: 64 MiB
  std::optional<FileMode> mode{};  ///< none: 1777, for /run 755
  std::optional<bool> exec{};      ///< none: not under `hardened`
  bool operator==(const TmpfsMount&) const = default;
};

/// Read from `file` on the host at every start; a file on a tmpfs in the container.
struct SecretRef {
  std::string name;
  std::string file;
  std::string target{};            ///< empty: /run/secrets/<name>
  std::optional<FileMode> mode{};  ///< none: 0400
  std::string owner{};             ///< as `Security::user`; empty: the service's user
  bool operator==(const SecretRef&) const = default;
};

/// A file that belongs to the generation: written in the document, or on the host and pinned by its
/// digest.
struct ConfigFile {
  std::string target;
  std::string content;  ///< where it is written in the document
  std::string file;     ///< on the host; empty: `content`
  Digest digest;        ///< of the content
  FileMode mode = 0444;
  std::string owner;  ///< as `Security::user`; empty: root
  bool operator==(const ConfigFile&) const = default;
};

/// A device of the host in the container's /dev.
struct DeviceMapping {
  std::string source;         ///< absolute path below /dev of the host
  std::string target;         ///< below /dev of the container
  std::string access = "rw";  ///< letters of r, w and m (mknod)
  bool operator==(const DeviceMapping&) const = default;
};

/// Where the value of an environment variable comes from, when it is not written.
struct EnvSource {
  enum class Kind : std::uint8_t { secret, config };
  Kind kind = Kind::secret;
  std::string name;  ///< of a secret of the service, or the target of one of its configs
  bool operator==(const EnvSource&) const = default;
};

struct Resources {
  std::optional<Bytes> memory;
  std::optional<std::uint32_t> millicpus;  ///< 1.5 cpus = 1500
  std::optional<std::uint32_t> pids;       ///< none: 2048
  bool operator==(const Resources&) const = default;
};

inline constexpr std::uint64_t kUnlimited = UINT64_MAX;

/// A limit of setrlimit(2), in the unit of its name; `kUnlimited`: none.
struct Ulimit {
  std::uint64_t soft = 0;
  std::uint64_t hard = 0;  ///< at least `soft`
  bool operator==(const Ulimit&) const = default;
};

struct HttpProbe {
  std::uint16_t port = 0;
  std::string path = "/";
  std::optional<int> status;        ///< none: 200 to 399
  std::optional<std::string> body;  ///< must occur in the first 64 KiB of the body
  std::string host{};               ///< of the Host header; empty: the address that is asked
  std::map<std::string, std::string> headers{};  ///< besides those that every probe sends
  bool operator==(const HttpProbe&) const = default;
};
struct TcpProbe {
  std::uint16_t port = 0;
  bool operator==(const TcpProbe&) const = default;
};
struct ExecProbe {
  std::vector<std::string> command;
  bool operator==(const ExecProbe&) const = default;
};
/// READY=1 from the container over its notify socket.
struct NotifyProbe {
  bool operator==(const NotifyProbe&) const = default;
};
using Probe = std::variant<HttpProbe, TcpProbe, ExecProbe, NotifyProbe>;

struct HealthRule {
  Probe probe;
  Milliseconds interval{5'000};
  Milliseconds timeout{2'000};
  Milliseconds start_period{0};  ///< failures in it do not count
  std::uint32_t healthy = 1;     ///< successes in a row that make it healthy
  std::uint32_t unhealthy = 3;   ///< failures in a row that make it unhealthy
  bool operator==(const HealthRule&) const = default;
};

enum class Strategy : std::uint8_t { cutover, replace };
enum class OnFailure : std::uint8_t { rollback, hold };

/// When rollouts may begin, in local time of a zone: on these days, from `begin` to `end`. A
/// window that ends before it begins ends on the next day.
struct UpdateWindow {
  std::uint8_t days = 0x7F;  ///< bit 0: Monday; of the beginning
  std::uint16_t begin = 0;   ///< minutes of the day
  std::uint16_t end = 0;     ///< 1440: the end of the day
  std::string zone = "UTC";  ///< as in /usr/share/zoneinfo
  bool operator==(const UpdateWindow&) const = default;
};

struct UpdateRule {
  Strategy strategy = Strategy::cutover;  ///< resolved: what the document says, else by the rule of
                                          ///< packaging/doc/design.md 4
  std::string
      strategy_reason;  ///< why `replace`: "writable volume uploads", "host network", or "written"
  Milliseconds deadline{60'000};  ///< for the new instance to become healthy
  Milliseconds soak{10'000};      ///< how long it must stay healthy after the switch
  Milliseconds drain{10'000};
  Milliseconds standby{900'000};
  OnFailure on_failure = OnFailure::rollback;
  std::optional<UpdateWindow> window;
  bool operator==(const UpdateRule&) const = default;
};

enum class Profile : std::uint8_t { hardened, compatible };

struct Security {
  Profile profile = Profile::hardened;
  bool read_only = true;  ///< root file system; false also under `compatible` unless written
  std::optional<std::string>
      user;  ///< overrides the image's; uid 0 must be written out under `hardened`
  std::vector<std::string> cap_add;      ///< "NET_BIND_SERVICE", sorted, without CAP_
  std::vector<std::string> group_add{};  ///< gids, or names of the image's /etc/group; sorted
  bool no_new_privileges = true;
  bool seccomp = true;
  /// What was relaxed against `hardened`, one phrase each: "cap_add NET_RAW", "read_only false".
  /// Shown in `plan`, counted.
  std::vector<std::string> relaxations;
  bool operator==(const Security&) const = default;
};

struct StopRule {
  std::string signal;  ///< "SIGTERM"; empty: the image's, else SIGTERM
  Milliseconds timeout{10'000};
  bool operator==(const StopRule&) const = default;
};

enum class NetworkMode : std::uint8_t {
  isolated,
  host,
  none
};  ///< written "private", "host", "none"
enum class Restart : std::uint8_t {
  always,
  on_failure,
  never
};  ///< written "always", "on-failure", "no"

/// Stands in `extra_hosts` for the address of the host that containers reach.
inline constexpr std::string_view kHostGateway = "host-gateway";

/// How names are resolved in a container, where that is not as the host does it.
struct NameRule {
  std::vector<std::string> servers;          ///< in place of the host's name servers
  std::vector<std::string> search;           ///< in place of its search domains; ".": none
  std::map<std::string, std::string> hosts;  ///< name → address, or `kHostGateway`
  std::string hostname;                      ///< empty: the name of the service
  bool operator==(const NameRule&) const = default;
};

struct Service {
  ImageRef image;
  std::optional<std::vector<std::string>> entrypoint;
  std::optional<std::vector<std::string>> command;
  std::map<std::string, std::string> env;
  std::optional<std::string> working_dir;
  std::vector<SecretRef> secrets;
  std::vector<PublishedPort> publish;
  std::vector<VolumeMount> volumes;
  std::vector<TmpfsMount> tmpfs;
  Resources resources;
  std::optional<HealthRule> health;
  UpdateRule update;
  std::vector<ServiceName> depends_on;
  Security security;
  Restart restart = Restart::always;
  StopRule stop;
  NetworkMode network = NetworkMode::isolated;
  NameRule names{};
  std::map<std::string, std::string> labels{};   ///< for people and metrics; nothing acts on them
  bool init = false;                             ///< an init of the host is process 1
  std::map<std::string, Ulimit> ulimits{};       ///< "nofile" → what replaces the default
  std::optional<Bytes> shm_size{};               ///< of /dev/shm; none: 64 MiB
  std::map<std::string, std::string> sysctls{};  ///< of the instance's own namespaces
  std::vector<ConfigFile> configs{};
  std::vector<DeviceMapping> devices{};
  std::map<std::string, EnvSource> env_from{};  ///< by name of the variable; not in `env`

  Digest run_hash;     ///< what needs a new container; of what the document says, not of defaults
  Digest policy_hash;  ///< the rest: a change takes effect without a restart
};

/// When a hook runs: before the first instance of a rollout starts, after its switch, or when its
/// document is rolled back from.
enum class HookStage : std::uint8_t { before, after, on_rollback };
[[nodiscard]] std::string_view to_string(HookStage stage);

/// A one-shot container around a rollout. It ends with exit code 0 within its deadline, or it has
/// failed.
struct Hook {
  ServiceName name;                ///< unlike that of any service and any other hook
  Milliseconds deadline{300'000};  ///< from its start to its end
  Service service;                 ///< what runs: never published, probed or restarted
};

/// In the order in which they run, one after the other.
struct Hooks {
  std::vector<Hook> before;
  std::vector<Hook> after;
  std::vector<Hook> on_rollback;
  [[nodiscard]] const std::vector<Hook>& of(HookStage stage) const;
  [[nodiscard]] bool empty() const {
    return before.empty() && after.empty() && on_rollback.empty();
  }
};

struct ImagePolicy {
  bool require_semver_tag = false;
  std::vector<std::string> require_signature;  ///< key names
  std::optional<Bytes> max_size;
  bool operator==(const ImagePolicy&) const = default;
};

struct Deployment {
  std::string name;
  std::optional<std::uint64_t> serial;
  std::optional<WallTime> expires;
  std::optional<WallTime> issued;
  std::map<std::string, std::string> targets;
  std::set<Digest> withdrawn;  ///< spec digests that must never run again
  std::map<ServiceName, Service> services;
  Hooks hooks;
  ImagePolicy image_policy;
  DriftPolicy drift;

  std::string canonical_json;  ///< without serial, issued, expires, targets, withdrawn
  Digest spec_digest;          ///< of canonical_json
};

/// One fault of a document. Line and column count from 1.
struct Diagnostic {
  std::string file;
  std::size_t line = 0;
  std::size_t column = 0;
  std::string message;  ///< "unknown key \"enviroment\" in services.web"
  std::string hint;     ///< "did you mean \"env\"?"
  /// "deployment.yaml:14:5: unknown key … (did you mean \"env\"?)"
  [[nodiscard]] std::string to_string() const;
  bool operator==(const Diagnostic&) const = default;
};

struct ParsedDeployment {
  std::optional<Deployment> deployment;  ///< absent when there is any error
  std::vector<Diagnostic> errors;        ///< all of them, in document order
  std::vector<Diagnostic> warnings;
};

/// Parses and checks a whole document, reporting every fault at once. Never throws; at most 1 MiB;
/// nesting ≤ 32. `file` is only for the messages.
[[nodiscard]] ParsedDeployment parse_deployment(std::string_view yaml, std::string_view file);

/// `parse_deployment` as a Result: all diagnostics joined by newlines in one Errc::spec_parse (or
/// ref_invalid when every fault is an unpinned image).
[[nodiscard]] Result<Deployment> load_deployment(std::string_view yaml, std::string_view file);

/// Services in an order in which each comes after everything it depends on; ties by name.
[[nodiscard]] std::vector<ServiceName> dependency_order(const Deployment& deployment);

/// Everything that the document may start: services by name, then hooks by stage and order. The
/// pointers are into `deployment`.
[[nodiscard]] std::vector<std::pair<ServiceName, const Service*>> containers(
    const Deployment& deployment);
/// The service or hook of this name; null when there is none.
[[nodiscard]] const Service* container(const Deployment& deployment, const ServiceName& name);

/// One difference between two deployments, as a path and two texts (empty: absent).
struct FieldChange {
  std::string path;  ///< "services.web.env.LOG_LEVEL"
  std::string before;
  std::string after;
  bool restarts = false;  ///< part of the run hash
  bool operator==(const FieldChange&) const = default;
};

/// Field by field, in path order, of the canonical documents.
[[nodiscard]] Result<std::vector<FieldChange>> diff_documents(std::string_view before_json,
                                                              std::string_view after_json);

}  // namespace holdfast::proto
