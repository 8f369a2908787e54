#pragma once
/// \file
/// All path arithmetic of the runtime.
///
/// ```
/// state_dir/                         survives a reboot
///   instances/<id>/instance.json     what the instance was created from; written before its first
///   effect instances/<id>/top               lower that holds mount points the image lacks
///   (read-only root) instances/<id>/{upper,work}      only where the root is writable
///   configs/<hex>                    content of configs, by digest (storage/config_files.hpp)
///   volumes/<name>                   named volumes, never removed by the runtime
///   logs/<service>/<id>.log[.1]      k8s-file lines of conmon; .1 is the older half
/// run_dir/                           tmpfs
///   runtime/                         state of the OCI runtime (--root)
///   exits/<id>                       exit code, written by conmon
///   instances/<id>/                  the bundle: config.json, run.json, instance.json (the same
///   again), pidfiles,
///   etc/{hosts,hostname,resolv.conf}, configs/<n>, ctl, notify/notify.sock, ready mnt/ private
///   mount mnt/<id>/rootfs, mnt/<id>/secrets, mnt/<id>/placed (secrets with a target), mnt/<id>/vol
/// ```

#include <filesystem>
#include <string>

#include "deploy/plan/model/model.hpp"

namespace holdfast::deploy::runtime {

struct Paths {
  std::filesystem::path state_dir;
  std::filesystem::path run_dir;

  using Path = std::filesystem::path;
  [[nodiscard]] Path instances() const { return state_dir / "instances"; }
  [[nodiscard]] Path kept(const plan::InstanceId& id) const { return instances() / id.str(); }
  [[nodiscard]] Path record(const plan::InstanceId& id) const { return kept(id) / "instance.json"; }
  [[nodiscard]] Path volume(const std::string& name) const { return state_dir / "volumes" / name; }
  [[nodiscard]] Path logs() const { return state_dir / "logs"; }
  [[nodiscard]] Path log(const proto::ServiceName& service, const plan::InstanceId& id) const {
    return logs() / service.str() / (id.str() + ".log");
  }

  [[nodiscard]] Path runtime_root() const { return run_dir / "runtime"; }
  [[nodiscard]] Path exits() const { return run_dir / "exits"; }
  [[nodiscard]] Path exit_file(const plan::InstanceId& id) const { return exits() / id.str(); }
  [[nodiscard]] Path bundles() const { return run_dir / "instances"; }
  [[nodiscard]] Path bundle(const plan::InstanceId& id) const { return bundles() / id.str(); }
  [[nodiscard]] Path run_state(const plan::InstanceId& id) const { return bundle(id) / "run.json"; }
  /// What `record` holds, for as long as the host is up.
  [[nodiscard]] Path run_record(const plan::InstanceId& id) const {
    return bundle(id) / "instance.json";
  }
  [[nodiscard]] Path hosts(const plan::InstanceId& id) const {
    return bundle(id) / "etc" / "hosts";
  }
  [[nodiscard]] Path resolv(const plan::InstanceId& id) const {
    return bundle(id) / "etc" / "resolv.conf";
  }
  /// Bound into the container as /run/notify; exists only with `health.sd_notify`.
  [[nodiscard]] Path notify(const plan::InstanceId& id) const { return bundle(id) / "notify"; }
  [[nodiscard]] Path ready_mark(const plan::InstanceId& id) const { return bundle(id) / "ready"; }
  [[nodiscard]] Path mounts() const { return run_dir / "mnt"; }
  [[nodiscard]] Path mount(const plan::InstanceId& id) const { return mounts() / id.str(); }
  [[nodiscard]] Path rootfs(const plan::InstanceId& id) const { return mount(id) / "rootfs"; }
  [[nodiscard]] Path secrets(const plan::InstanceId& id) const { return mount(id) / "secrets"; }
  /// Of secrets that have a target of their own.
  [[nodiscard]] Path placed_secrets(const plan::InstanceId& id) const {
    return mount(id) / "placed";
  }
  [[nodiscard]] Path secret(const plan::InstanceId& id, const proto::SecretRef& secret) const {
    return (secret.target.empty() ? secrets(id) : placed_secrets(id)) / secret.name;
  }

  [[nodiscard]] Path configs() const { return state_dir / "configs"; }
  [[nodiscard]] Path placed_configs(const plan::InstanceId& id) const {
    return bundle(id) / "configs";
  }
  [[nodiscard]] Path placed_config(const plan::InstanceId& id, std::size_t number) const {
    return placed_configs(id) / std::to_string(number);
  }
};

}  // namespace holdfast::deploy::runtime
