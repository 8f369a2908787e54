#include <fcntl.h>
#include <fmt/format.h>

#include "common/os/file.hpp"
#include "deploy/runtime/lifecycle.hpp"
#include "deploy/runtime/spec/capabilities.hpp"
#include "deploy/runtime/spec/command.hpp"
#include "deploy/runtime/spec/etc_files.hpp"
#include "deploy/runtime/spec/user.hpp"
#include "deploy/runtime/storage/config_files.hpp"
#include "deploy/runtime/storage/mounts.hpp"
#include "deploy/runtime/storage/rootfs.hpp"
#include "deploy/runtime/storage/secrets.hpp"
#include "deploy/runtime/storage/tmpfs_modes.hpp"

namespace holdfast::deploy::runtime {
namespace {

Limits limits_of(const proto::Resources& resources) {
  Limits limits;
  if (resources.memory) limits.memory_bytes = resources.memory->value();
  limits.millicpus = resources.millicpus;
  if (resources.pids) limits.pids = *resources.pids;
  return limits;
}

/// Variable → the secret it is taken from.
std::map<std::string, std::string> secret_env(const proto::Service& service) {
  std::map<std::string, std::string> out;
  for (const auto& [name, source] : service.env_from)
    if (source.kind == proto::EnvSource::Kind::secret) out.emplace(name, source.name);
  return out;
}

Result<InstanceRecord> make_record(const InstanceSpec& spec) {
  HF_ASSIGN(const int signal, stop_signal(spec.wanted, spec.image.config));
  return InstanceRecord{.id = spec.id,
                        .boot_id = boot_id(),
                        .service = spec.service,
                        .generation = spec.generation,
                        .run_hash = spec.wanted.run_hash,
                        .image = spec.image.pinned,
                        .manifest = spec.image.manifest,
                        .network = spec.wanted.network,
                        .limits = limits_of(spec.wanted.resources),
                        .stop_signal = signal,
                        .stop_timeout = spec.wanted.stop.timeout,
                        .secrets = spec.wanted.secrets,
                        .allowed_secret_paths = spec.allowed_secret_paths,
                        .names = spec.wanted.names,
                        .security = spec.wanted.security,
                        .tmpfs_modes = tmpfs_modes(spec.wanted),
                        .secret_env = secret_env(spec.wanted)};
}

/// The log is there before conmon opens it: pruning takes away directories in which nothing is.
Status place_log(const std::filesystem::path& log) {
  constexpr int kMostTries = 3;
  for (int tries = 1;; ++tries) {
    HF_TRY(os::make_directories(log.parent_path()));
    auto made = os::open_file(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (made) return ok();
    if (made.error().code() != Errc::not_found || tries == kMostTries)
      return std::move(made).error();
  }
}

/// Directories of the bundle and the run directory's side of the instance.
Status make_places(const Host& host, const InstanceSpec& spec) {
  HF_TRY(os::make_directories(host.paths.bundle(spec.id) / "etc"));
  HF_TRY(os::make_directories(host.paths.mount(spec.id)));
  if (uses_sd_notify(spec.wanted)) HF_TRY(host.notify->listen(spec.id));
  return place_log(host.paths.log(spec.service, spec.id));
}

Status connect(const Host& host, const InstanceSpec& spec, RunState& run) {
  constexpr plan::Address kLoopback = 0x7F000001;
  if (spec.wanted.network == proto::NetworkMode::host) run.address = kLoopback;
  if (spec.wanted.network != proto::NetworkMode::isolated) return ok();
  HF_ASSIGN(const auto attachment, host.attachments.attach(spec.id.str()));
  run.address = attachment.address;
  run.netns = attachment.netns.string();
  return ok();
}

Status write_etc(const Host& host, const InstanceSpec& spec, const RunState& run) {
  const auto etc = host.paths.bundle(spec.id) / "etc";
  const auto write = [&](const char* name, const std::string& text) {
    return os::write_atomic(etc / name, text, 0644, os::Durability::lazy);
  };
  const auto name = hostname_of(spec.service, spec.wanted.names);
  HF_TRY(write("hosts", hosts_text({.hostname = name,
                                    .own = run.address,
                                    .gateway = host.gateway_of(spec.wanted.network),
                                    .extra = spec.wanted.names.hosts},
                                   spec.hosts)));
  HF_TRY(write("hostname", name + "\n"));
  return write("resolv.conf", resolv_for(spec.wanted.network, spec.wanted.names));
}

Result<FileOwner> owner_of(int root, const std::string& named, const FileOwner& usual) {
  if (named.empty()) return usual;
  HF_ASSIGN(const auto user, resolve_user(root, named));
  return FileOwner{.uid = user.uid, .gid = user.gid};
}

Status prepare_secrets(const Host& host, const InstanceSpec& spec, int root, RunState& run) {
  const FileOwner usual{.uid = run.uid, .gid = run.gid};
  for (const auto& secret : spec.wanted.secrets) {
    if (secret.owner.empty()) continue;
    auto owner = owner_of(root, secret.owner, usual);
    if (!owner) return std::move(owner).error().in("resolve the owner of secret " + secret.name);
    run.secret_owners[secret.name] = *owner;
  }
  HF_TRY(mount_secrets(host.paths, spec.id, spec.wanted.secrets));
  return write_secrets({.paths = host.paths,
                        .id = spec.id,
                        .secrets = spec.wanted.secrets,
                        .rule = host.rules.secret(spec.allowed_secret_paths),
                        .owner = usual,
                        .owners = run.secret_owners});
}

Status prepare_configs(const Host& host, const InstanceSpec& spec, int root, RunState& run) {
  std::size_t number = 0;
  for (const auto& config : spec.wanted.configs) {
    auto owner = owner_of(root, config.owner, {});
    if (!owner) return std::move(owner).error().in("resolve the owner of " + config.target);
    HF_ASSIGN(auto placed,
              place_config(host.paths, spec.id, number++, config, *owner, host.rules.config()));
    run.configs.push_back(std::move(placed));
  }
  return ok();
}

/// Variables that are taken from secrets and configs.
Result<std::map<std::string, std::string>> taken_variables(const Host& host,
                                                           const InstanceSpec& spec) {
  HF_ASSIGN(auto variables,
            secret_variables(host.paths, spec.id, spec.wanted.secrets, secret_env(spec.wanted)));
  for (const auto& [name, source] : spec.wanted.env_from) {
    if (source.kind != proto::EnvSource::Kind::config) continue;
    for (const auto& config : spec.wanted.configs) {
      if (config.target != source.name) continue;
      HF_ASSIGN(auto content, config_content(host.paths, config, host.rules.config()));
      HF_ASSIGN(variables[name], variable_value(std::move(content), name));
    }
  }
  return variables;
}

Result<ProcessSpec> make_process(const Host& host, const InstanceSpec& spec, User user) {
  HF_ASSIGN(auto args, merged_args(spec.wanted, spec.image.config));
  auto wanted = spec.wanted;
  HF_ASSIGN(auto taken, taken_variables(host, spec));
  wanted.env.merge(taken);
  HF_ASSIGN(auto env, merged_env(wanted, spec.image.config, user,
                                 hostname_of(spec.service, spec.wanted.names)));
  HF_ASSIGN(auto cwd, working_directory(spec.wanted, spec.image.config));
  HF_ASSIGN(auto granted, capabilities(spec.wanted.security, user.uid));
  return ProcessSpec{.args = std::move(args),
                     .env = std::move(env),
                     .cwd = std::move(cwd),
                     .user = std::move(user),
                     .capabilities = std::move(granted),
                     .no_new_privileges = spec.wanted.security.no_new_privileges,
                     .ulimits = spec.wanted.ulimits};
}

/// Root, user, mounts and config.json; everything that depends on the image.
Status make_bundle(const Host& host, const InstanceSpec& spec, RunState& run,
                   const std::stop_token& stop) {
  const auto& security = spec.wanted.security;
  const auto access = security.read_only ? RootAccess::read_only : RootAccess::writable;
  HF_ASSIGN(auto root, mount_root(host.paths, spec.id, spec.image, access));
  HF_ASSIGN(const auto user, service_user(root.get(), security, spec.image.config.user));
  run.uid = user.uid;
  run.gid = user.gid;
  HF_TRY(write_etc(host, spec, run));
  HF_TRY(prepare_secrets(host, spec, root.get(), run));
  HF_TRY(prepare_configs(host, spec, root.get(), run));
  HF_ASSIGN(auto process, make_process(host, spec, user));
  std::filesystem::path init;
  if (spec.wanted.init) {
    HF_ASSIGN(init, find_init());
  }
  HF_ASSIGN(auto mounts, service_mounts({.paths = host.paths,
                                         .id = spec.id,
                                         .service = spec.wanted,
                                         .user = user,
                                         .rule = host.rules.volume(spec.allowed_host_paths),
                                         .root = root.get(),
                                         .init = std::move(init),
                                         .stop = stop}));
  HF_TRY(check_mount_points(root.get(), mounts));
  if (security.read_only) {
    auto all = standard_mounts();
    all.insert(all.end(), mounts.begin(), mounts.end());
    // The working directory is made where mount points are: the runtime could not, below a
    // read-only root.
    all.push_back({process.cwd, "directory", {}, {}});
    HF_ASSIGN(root, add_mount_points(host.paths, spec.id, spec.image, std::move(root), all));
  }
  HF_ASSIGN(auto devices, find_devices(spec.wanted.devices));
  BundleSpec bundle{.process = std::move(process),
                    .hostname = hostname_of(spec.service, spec.wanted.names),
                    .rootfs = host.paths.rootfs(spec.id),
                    .read_only = security.read_only,
                    .mounts = std::move(mounts),
                    .network = spec.wanted.network,
                    .netns = run.netns,
                    .limits = limits_of(spec.wanted.resources),
                    .cgroup = host.group(spec.id),
                    .seccomp = {},
                    .shm_bytes = spec.wanted.shm_size ? spec.wanted.shm_size->value() : kDefaultShm,
                    .devices = std::move(devices),
                    .sysctls = spec.wanted.sysctls,
                    .host = host.facts};
  if (security.seccomp) bundle.seccomp = seccomp_profile(bundle.process.capabilities.bounding);
  return os::write_atomic(host.paths.bundle(spec.id) / "config.json", config_json(bundle), 0600,
                          os::Durability::lazy);
}

}  // namespace

Status create_instance(const Host& host, const InstanceSpec& spec, const std::stop_token& stop) {
  HF_TRY(check_id(spec.id));
  HF_TRY(check_ulimits(spec.wanted.ulimits, host.facts));
  HF_TRY(find_devices(spec.wanted.devices));
  HF_ASSIGN(const auto record, make_record(spec));
  HF_TRY(os::make_directories(host.paths.kept(spec.id)));
  // The intent, durable, before the first effect: what a power cut leaves behind can be found and
  // removed.
  HF_TRY(os::write_atomic(host.paths.record(spec.id), to_json(record)));
  HF_TRY(make_places(host, spec));
  HF_TRY(copy_record(host, record));
  RunState run;
  run.boot_id = boot_id();
  if (stop.stop_requested()) return Error{Errc::cancelled, "create instance"};
  HF_TRY(connect(host, spec, run));
  HF_TRY(make_bundle(host, spec, run, stop));
  HF_TRY(write_run_state(host, spec.id, run));
  return start_process(host, record, run, stop);
}

}  // namespace holdfast::deploy::runtime
