#include "deploy/runtime/record/record.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "deploy/runtime/record/small_file.hpp"

namespace holdfast::deploy::runtime {
namespace {

namespace json = boost::json;
constexpr int kVersion = 1;

std::string text(const json::object& from, std::string_view key) {
  return std::string{from.at(key).as_string()};
}

template <class Number>
Number number(const json::object& from, std::string_view key) {
  return from.at(key).to_number<Number>();
}

Limits limits_from(const json::object& from) {
  Limits limits{.memory_bytes = {}, .millicpus = {}, .pids = number<std::uint32_t>(from, "pids")};
  if (from.contains("memory_bytes"))
    limits.memory_bytes = number<std::uint64_t>(from, "memory_bytes");
  if (from.contains("millicpus")) limits.millicpus = number<std::uint32_t>(from, "millicpus");
  return limits;
}

json::object to_object(const Limits& limits) {
  json::object out{{"pids", limits.pids}};
  if (limits.memory_bytes) out["memory_bytes"] = *limits.memory_bytes;
  if (limits.millicpus) out["millicpus"] = *limits.millicpus;
  return out;
}

Result<proto::Digest> digest(const json::object& from, std::string_view key) {
  return proto::Digest::parse(text(from, key));
}

std::vector<std::string> texts(const json::object& from, const char* name) {
  std::vector<std::string> out;
  for (const auto& each : from.at(name).as_array()) out.emplace_back(each.as_string());
  return out;
}

proto::NameRule names_from(const json::object& from) {
  proto::NameRule names{.servers = texts(from, "servers"),
                        .search = texts(from, "search"),
                        .hosts = {},
                        .hostname = text(from, "hostname")};
  for (const auto& [name, address] : from.at("hosts").as_object())
    names.hosts.emplace(name, address.as_string());
  return names;
}

json::object to_object(const proto::NameRule& names) {
  json::object hosts;
  for (const auto& [name, address] : names.hosts) hosts[name] = address;
  return {{"servers", json::array(names.servers.begin(), names.servers.end())},
          {"search", json::array(names.search.begin(), names.search.end())},
          {"hosts", hosts},
          {"hostname", names.hostname}};
}

/// Target, mode and owner: not before 2026-11-30, and only where the document names them.
proto::SecretRef secret_from(const json::object& from) {
  proto::SecretRef secret{.name = text(from, "name"), .file = text(from, "file")};
  if (from.contains("target")) secret.target = text(from, "target");
  if (from.contains("mode")) secret.mode = number<proto::FileMode>(from, "mode");
  if (from.contains("owner")) secret.owner = text(from, "owner");
  return secret;
}

json::object to_object(const proto::SecretRef& secret) {
  json::object out{{"name", secret.name}, {"file", secret.file}};
  if (!secret.target.empty()) out["target"] = secret.target;
  if (secret.mode) out["mode"] = *secret.mode;
  if (!secret.owner.empty()) out["owner"] = secret.owner;
  return out;
}

FileOwner owner_from(const json::object& from) {
  return {.uid = number<std::uint32_t>(from, "uid"), .gid = number<std::uint32_t>(from, "gid")};
}

json::object to_object(const FileOwner& owner) { return {{"uid", owner.uid}, {"gid", owner.gid}}; }

json::object to_object(const PlacedConfig& config) {
  return {{"target", config.target},
          {"digest", config.digest.str()},
          {"mode", config.mode},
          {"owner", to_object(config.owner)}};
}

Result<PlacedConfig> config_from(const json::object& from) {
  HF_ASSIGN(const auto of_content, digest(from, "digest"));
  return PlacedConfig{.target = text(from, "target"),
                      .digest = of_content,
                      .mode = number<proto::FileMode>(from, "mode"),
                      .owner = owner_from(from.at("owner").as_object())};
}

Result<InstanceRecord> record_from(const json::object& from) {
  if (number<int>(from, "version") > kVersion)
    return Error{Errc::io, "written by a newer version"}.hint("run the newer version of the agent");
  HF_ASSIGN(auto run_hash, digest(from, "run_hash"));
  HF_ASSIGN(auto image, digest(from, "image"));
  HF_ASSIGN(auto manifest, digest(from, "manifest"));
  InstanceRecord record{.id = plan::InstanceId{text(from, "id")},
                        .boot_id = text(from, "boot_id"),
                        .service = proto::ServiceName{text(from, "service")},
                        .generation = number<std::uint64_t>(from, "generation"),
                        .run_hash = run_hash,
                        .image = image,
                        .manifest = manifest,
                        .network = static_cast<proto::NetworkMode>(number<int>(from, "network")),
                        .limits = limits_from(from.at("limits").as_object()),
                        .stop_signal = number<int>(from, "stop_signal"),
                        .secrets = {},
                        .security = {}};
  if (from.contains("stop_timeout_ms"))  // not before 2026-11-29
    record.stop_timeout = Milliseconds{number<std::int64_t>(from, "stop_timeout_ms")};
  if (const auto* security = from.if_contains("security")) {
    const auto& kept = security->as_object();
    record.security.profile = static_cast<proto::Profile>(number<int>(kept, "profile"));
    record.security.read_only = kept.at("read_only").as_bool();
    record.security.seccomp = kept.at("seccomp").as_bool();
  }
  for (const auto& entry : from.at("secrets").as_array()) {
    const auto& secret = entry.as_object();
    record.secrets.push_back(secret_from(secret));
  }
  if (const auto* env = from.if_contains("secret_env"))  // not before 2026-11-30
    for (const auto& [name, secret] : env->as_object())
      record.secret_env.emplace(name, secret.as_string());
  if (const auto* names = from.if_contains("names"))  // not before 2026-11-29
    record.names = names_from(names->as_object());
  if (const auto* modes = from.if_contains("tmpfs_modes"))  // not before 2026-11-30
    for (const auto& [path, mode] : modes->as_object())
      record.tmpfs_modes.emplace(path, mode.to_number<proto::FileMode>());
  if (const auto* allowed = from.if_contains("allowed_secret_paths"))  // not before 2026-11-29
    for (const auto& path : allowed->as_array())
      record.allowed_secret_paths.emplace_back(path.as_string());
  return record;
}

ProcessId process_from(const json::object& from) {
  return {.pid = number<pid_t>(from, "pid"),
          .start_ticks = number<std::uint64_t>(from, "start_ticks")};
}

json::object to_object(const proto::Security& security) {
  return {{"profile", static_cast<int>(security.profile)},
          {"read_only", security.read_only},
          {"seccomp", security.seccomp}};
}

json::object to_object(const ProcessId& process) {
  return {{"pid", process.pid}, {"start_ticks", process.start_ticks}};
}

json::object to_object(const plan::ExitInfo& exit) {
  return {{"code", exit.code}, {"oom", exit.oom}, {"at_ms", exit.at.time_since_epoch().count()}};
}

plan::ExitInfo exit_from(const json::object& from) {
  return {.code = number<int>(from, "code"),
          .oom = from.at("oom").as_bool(),
          .at = WallTime{Milliseconds{number<std::int64_t>(from, "at_ms")}}};
}

/// What files it was given: not before 2026-11-30.
Status files_from(const json::object& from, RunState& state) {
  if (const auto* configs = from.if_contains("configs"))
    for (const auto& each : configs->as_array()) {
      HF_ASSIGN(auto config, config_from(each.as_object()));
      state.configs.push_back(std::move(config));
    }
  if (const auto* owners = from.if_contains("secret_owners"))
    for (const auto& [name, owner] : owners->as_object())
      state.secret_owners.emplace(name, owner_from(owner.as_object()));
  return ok();
}

Result<RunState> run_state_from(const json::object& from) {
  RunState state{.boot_id = text(from, "boot_id"),
                 .phase = static_cast<Phase>(number<int>(from, "phase")),
                 .address = number<std::uint32_t>(from, "address"),
                 .netns = text(from, "netns"),
                 .uid = number<std::uint32_t>(from, "uid"),
                 .gid = number<std::uint32_t>(from, "gid"),
                 .init = process_from(from.at("init").as_object()),
                 .conmon = process_from(from.at("conmon").as_object()),
                 .log_writer = {},
                 .starts = number<std::uint32_t>(from, "starts"),
                 .started_wall_ms = number<std::int64_t>(from, "started_wall_ms"),
                 .started_boot_ns = number<std::int64_t>(from, "started_boot_ns"),
                 .last_exit = {}};
  if (const auto* writer = from.if_contains("log_writer"))
    state.log_writer = process_from(writer->as_object());
  if (const auto* last = from.if_contains("last_exit"))
    state.last_exit = exit_from(last->as_object());
  HF_TRY(files_from(from, state));
  return state;
}

}  // namespace

std::string to_json(const InstanceRecord& record) {
  json::array secrets;
  for (const auto& secret : record.secrets) secrets.push_back(to_object(secret));
  json::object env;
  for (const auto& [name, secret] : record.secret_env) env[name] = secret;
  json::array allowed;
  for (const auto& path : record.allowed_secret_paths) allowed.emplace_back(path);
  json::object modes;
  for (const auto& [path, mode] : record.tmpfs_modes) modes[path] = mode;
  return json::serialize(json::object{{"version", kVersion},
                                      {"id", record.id.str()},
                                      {"boot_id", record.boot_id},
                                      {"service", record.service.str()},
                                      {"generation", record.generation},
                                      {"run_hash", record.run_hash.str()},
                                      {"image", record.image.str()},
                                      {"manifest", record.manifest.str()},
                                      {"network", static_cast<int>(record.network)},
                                      {"limits", to_object(record.limits)},
                                      {"stop_signal", record.stop_signal},
                                      {"stop_timeout_ms", record.stop_timeout.count()},
                                      {"secrets", secrets},
                                      {"secret_env", env},
                                      {"allowed_secret_paths", allowed},
                                      {"names", to_object(record.names)},
                                      {"tmpfs_modes", modes},
                                      {"security", to_object(record.security)}});
}

Result<InstanceRecord> parse_record(const std::string& text_json) {
  try {
    return record_from(json::parse(text_json).as_object());
  } catch (const std::exception& e) {
    return Error{Errc::io, fmt::format("malformed instance record: {}", e.what())};
  }
}

std::string to_json(const RunState& state) {
  json::object out{{"boot_id", state.boot_id},
                   {"phase", static_cast<int>(state.phase)},
                   {"address", state.address},
                   {"netns", state.netns},
                   {"uid", state.uid},
                   {"gid", state.gid},
                   {"init", to_object(state.init)},
                   {"conmon", to_object(state.conmon)},
                   {"log_writer", to_object(state.log_writer)},
                   {"starts", state.starts},
                   {"started_wall_ms", state.started_wall_ms},
                   {"started_boot_ns", state.started_boot_ns}};
  json::array configs;
  for (const auto& config : state.configs) configs.push_back(to_object(config));
  out["configs"] = std::move(configs);
  json::object owners;
  for (const auto& [name, owner] : state.secret_owners) owners[name] = to_object(owner);
  out["secret_owners"] = std::move(owners);
  if (state.last_exit) out["last_exit"] = to_object(*state.last_exit);
  return json::serialize(out);
}

Result<RunState> parse_run_state(const std::string& text_json) {
  try {
    return run_state_from(json::parse(text_json).as_object());
  } catch (const std::exception& e) {
    return Error{Errc::io, fmt::format("malformed run state: {}", e.what())};
  }
}

const std::string& boot_id() {
  static const std::string id = [] {
    auto read = os::read_regular_file("/proc/sys/kernel/random/boot_id", 128);
    return read ? std::string{trim(*read)} : std::string{"unknown"};
  }();
  return id;
}

Result<ProcessId> identify(pid_t pid) {
  HF_ASSIGN(const auto ticks, os::process_start_ticks(pid));
  return ProcessId{.pid = pid, .start_ticks = ticks};
}

bool alive(const ProcessId& process) {
  if (process.pid <= 0) return false;
  const auto stat = read_small(fmt::format("/proc/{}/stat", process.pid));
  if (!stat) return false;
  const auto close = stat->rfind(')');
  if (close == std::string::npos || close + 2 >= stat->size()) return false;
  const char state = (*stat)[close + 2];
  if (state == 'Z' || state == 'X') return false;
  const auto fields = split(trim(std::string_view{*stat}.substr(close + 1)), ' ');
  constexpr std::size_t kStartTime = 22 - 3;  // fields count from the last ')', see proc(5)
  return fields.size() > kStartTime && fields[kStartTime] == std::to_string(process.start_ticks);
}

}  // namespace holdfast::deploy::runtime
