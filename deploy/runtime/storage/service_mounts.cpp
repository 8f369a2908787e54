#include "deploy/runtime/storage/service_mounts.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <span>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "deploy/runtime/record/sd_notify_state.hpp"
#include "deploy/runtime/spec/command.hpp"
#include "deploy/runtime/spec/root_path.hpp"
#include "deploy/runtime/storage/host_places.hpp"
#include "deploy/runtime/storage/mounts.hpp"
#include "deploy/runtime/storage/named_volume.hpp"
#include "deploy/runtime/storage/volume.hpp"
#include "deploy/runtime/storage/volumes_mount.hpp"
#include "proto/deployment/rules.hpp"

namespace holdfast::deploy::runtime {
namespace {

constexpr std::uint64_t kDefaultTmpfs = 64U << 20;

Error refused(const std::string& path, std::string_view why) {
  return Error{Errc::runtime, fmt::format("volume source {} is refused: {}", printable(path), why)}
      .hint("use a named volume, or a directory made for the service");
}

/// Links are not followed: whoever may write where one lies would choose what is mounted. The place
/// it leads to now can be written down.
Error through_link(const std::string& path) {
  std::error_code failed;
  const auto real = std::filesystem::canonical(path, failed).string();
  if (failed)
    return Error{Errc::host, fmt::format("volume source {} is refused: a part of it is a symlink "
                                         "that leads nowhere",
                                         printable(path))}
        .hint("mend the link on the host, or write a path without one");
  auto error = Error{Errc::host, fmt::format("volume source {} is refused: it leads through a "
                                             "symlink to {}",
                                             printable(path), printable(real))};
  const auto hint = fmt::format("write source: {}", printable(real));
  if (path == "/etc/localtime") {
    constexpr std::string_view kZones = "/usr/share/zoneinfo/";
    const auto zone = real.starts_with(kZones) ? real.substr(kZones.size()) : std::string{"UTC"};
    return std::move(error).hint(fmt::format("{}, or env: {{TZ: {}}}", hint, printable(zone)));
  }
  return std::move(error).hint(hint);
}

Result<os::UniqueFd> open_without_links(const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS;
  const long fd = syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how);
  if (fd >= 0) return os::UniqueFd{static_cast<int>(fd)};
  if (errno == ELOOP) return through_link(path);
  if (errno == ENOENT)
    return Error{Errc::host, fmt::format("volume source {} does not exist", printable(path))}.hint(
        "mkdir -p " + printable(path));
  return errno_error(errno, "open volume source " + printable(path));
}

/// Under whatever name.
Status check_not_the_hosts(const std::string& path, int fd) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return errno_error(errno, "stat volume source");
  for (const auto places : {std::span<const std::string_view>{kPlacesOfTheHost},
                            std::span<const std::string_view>{kPlacesAbove},
                            std::span<const std::string_view>{kPlacesOfTheKernel}})
    if (const auto place = same_place(info, places); !place.empty())
      return refused(path, fmt::format("it is {}, the host's own", place));
  return ok();
}

/// The directory or file behind `fd`, bound at `at`.
Status bind_fd(int fd, const std::filesystem::path& at) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return errno_error(errno, "stat volume source");
  if (S_ISDIR(info.st_mode)) {
    HF_TRY(os::make_directories(at));
  } else if (S_ISREG(info.st_mode) || S_ISSOCK(info.st_mode)) {
    HF_ASSIGN(const auto file, os::open_file(at, O_WRONLY | O_CREAT, 0600));
  } else {
    return Error{Errc::host, "a volume source must be a directory, a file or a socket"};
  }
  const auto source = fmt::format("/proc/self/fd/{}", fd);
  if (::mount(source.c_str(), at.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
    return errno_error(errno, "bind volume source");
  return ok();
}

/// The directory or file behind `fd`, where nobody can swap it: run_dir/mnt/<id>/vol/<number>.
Result<std::string> bind_source(const ServiceMountsInput& input, const proto::VolumeMount& volume,
                                std::size_t number, int fd) {
  const auto at = input.paths.mount(input.id) / "vol" / std::to_string(number);
  HF_TRY(os::make_directories(at.parent_path()));
  auto bound = bind_fd(fd, at);
  if (bound) bound = confine_mount(at, volume.read_only ? Writing::refused : Writing::allowed);
  if (!bound) return std::move(bound).error().in("mount volume " + printable(volume.source));
  return at.string();
}

Result<std::string> host_path(const ServiceMountsInput& input, const proto::VolumeMount& volume,
                              std::size_t number) {
  const auto& path = volume.source;
  HF_TRY(check_host_path(path, input.rule));
  HF_ASSIGN(const auto fd, open_without_links(path));
  HF_TRY(check_not_the_hosts(path, fd.get()));
  return bind_source(input, volume, number, fd.get());
}

/// Makes it where it is missing: with what the image has there, when all of it is mounted.
Result<std::filesystem::path> ensure_volume(const ServiceMountsInput& input,
                                            const proto::VolumeMount& volume) {
  const auto& name = volume.source;
  if (!proto::rules::is_item_name(name))  // again: it becomes a file name
    return Error{Errc::runtime, fmt::format("{} is not a name for a volume", printable(name))};
  const auto path = input.paths.volume(name);
  HF_TRY(os::make_directories(path.parent_path(), 0700));
  confine_later_mounts(path.parent_path());
  std::error_code failed;
  if (std::filesystem::exists(path, failed)) return path;
  os::UniqueFd content;
  if (volume.subpath.empty()) {
    HF_ASSIGN(content, volume_content(input.root, volume.target));
  }
  auto made =
      make_volume({.path = path, .content = content.get(), .user = input.user, .stop = input.stop});
  if (!made) return std::move(made).error().in("create volume " + name);
  return path;
}

Result<std::string> named_volume(const ServiceMountsInput& input, const proto::VolumeMount& volume,
                                 std::size_t number) {
  HF_ASSIGN(const auto path, ensure_volume(input, volume));
  auto opened = open_volume_directory(
      {.volume = path, .wanted = volume, .user = input.user, .root = input.root});
  if (!opened) return std::move(opened).error().in("open volume " + volume.source);
  if (volume.subpath.empty()) return path.string();
  return bind_source(input, volume, number, opened->get());
}

/// Owned by the service's user: the runtime gives the new root the mode of the directory it covers,
/// which is often 0755. What the document says of its mode is set before the program runs.
BundleMount tmpfs(const ServiceMountsInput& input, const proto::TmpfsMount& wanted) {
  const auto target = clean_path(wanted.target);
  const proto::FileMode usual = target == "/run" ? 0755 : 01777;
  std::vector<std::string> options{
      "nosuid",
      "nodev",
      fmt::format("size={}", wanted.size ? wanted.size->value() : kDefaultTmpfs),
      fmt::format("mode={:o}", wanted.mode.value_or(usual)),
      fmt::format("uid={}", input.user.uid),
      fmt::format("gid={}", input.user.gid)};
  const bool exec =
      wanted.exec.value_or(input.service.security.profile != proto::Profile::hardened);
  if (!exec) options.emplace_back("noexec");
  return {target, "tmpfs", "tmpfs", std::move(options)};
}

Result<std::string> source_of(const ServiceMountsInput& input, const proto::VolumeMount& volume,
                              std::size_t number) {
  if (volume.is_host_path()) return host_path(input, volume, number);
  return named_volume(input, volume, number);
}

/// A config is read-only, and can be run where its mode says so.
BundleMount config_mount(const ServiceMountsInput& input, std::size_t number) {
  const auto& config = input.service.configs[number];
  std::vector<std::string> options{"bind", "ro", "rprivate", "nosuid", "nodev"};
  constexpr proto::FileMode kRun = 0111;
  if ((config.mode & kRun) == 0) options.emplace_back("noexec");
  return {clean_path(config.target), "bind", input.paths.placed_config(input.id, number).string(),
          std::move(options)};
}

/// Volumes, tmpfs, configs and secrets with a target, by destination, parents before children.
Result<std::vector<BundleMount>> storage(const ServiceMountsInput& input) {
  std::vector<BundleMount> mounts;
  std::set<std::string> taken;
  std::size_t number = 0;
  for (const auto& volume : input.service.volumes) {
    const bool on_host = volume.is_host_path();
    HF_ASSIGN(auto source, source_of(input, volume, number++));
    std::vector<std::string> options{on_host ? "rbind" : "bind", "rprivate", "nosuid", "nodev"};
    if (volume.read_only) options.emplace_back("ro");
    mounts.push_back({clean_path(volume.target), "bind", std::move(source), std::move(options)});
    taken.insert(mounts.back().destination);
  }
  for (const auto& wanted : input.service.tmpfs) {
    mounts.push_back(tmpfs(input, wanted));
    taken.insert(mounts.back().destination);
  }
  if (input.service.security.read_only)
    for (const auto* usual : {"/run", "/tmp"})
      if (!taken.contains(usual)) mounts.push_back(tmpfs(input, {.target = usual, .size = {}}));
  for (std::size_t i = 0; i < input.service.configs.size(); ++i)
    mounts.push_back(config_mount(input, i));
  for (const auto& secret : input.service.secrets)
    if (!secret.target.empty())
      mounts.push_back({clean_path(secret.target),
                        "bind",
                        input.paths.secret(input.id, secret).string(),
                        {"bind", "ro", "rprivate", "nosuid", "nodev", "noexec"}});
  std::sort(mounts.begin(), mounts.end(),
            [](const auto& a, const auto& b) { return a.destination < b.destination; });
  return mounts;
}

/// A mount below a read-only volume needs its mount point in that volume: nobody can make it there
/// while the container is put together.
Status check_nested(const ServiceMountsInput& input, const std::string& target, bool is_file) {
  const proto::VolumeMount* around = nullptr;
  for (const auto& volume : input.service.volumes) {
    const auto at = clean_path(volume.target);
    if (at != target && is_within(target, at) &&
        (around == nullptr || clean_path(around->target).size() < at.size()))
      around = &volume;
  }
  const bool covered =
      std::any_of(input.service.tmpfs.begin(), input.service.tmpfs.end(), [&](const auto& tmpfs) {
        const auto at = clean_path(tmpfs.target);
        return around != nullptr && is_within(target, at) &&
               is_within(at, clean_path(around->target));
      });
  if (around == nullptr || !around->read_only || covered) return ok();
  const auto inside = target.substr(clean_path(around->target).size());
  const auto source = around->is_host_path() ? std::filesystem::path{around->source}
                                             : input.paths.volume(around->source) / around->subpath;
  HF_ASSIGN(const auto root, os::open_file(source, O_RDONLY | O_DIRECTORY));
  if (open_in_root(root.get(), inside, O_PATH)) return ok();
  return Error{around->is_host_path() ? Errc::host : Errc::runtime,
               fmt::format("{} is mounted below {}, a read-only volume that has no {}",
                           printable(target), printable(around->target), printable(inside))}
      .hint(fmt::format("{} {}", is_file ? "touch" : "mkdir -p",
                        printable(source.string() + inside)));
}

Status check_all_nested(const ServiceMountsInput& input) {
  for (const auto& volume : input.service.volumes) {
    std::error_code failed;
    const bool is_file =
        volume.is_host_path() && std::filesystem::is_regular_file(volume.source, failed);
    HF_TRY(check_nested(input, clean_path(volume.target), is_file));
  }
  for (const auto& tmpfs : input.service.tmpfs)
    HF_TRY(check_nested(input, clean_path(tmpfs.target), false));
  for (const auto& config : input.service.configs)
    HF_TRY(check_nested(input, clean_path(config.target), true));
  for (const auto& secret : input.service.secrets)
    if (!secret.target.empty()) HF_TRY(check_nested(input, clean_path(secret.target), true));
  return ok();
}

}  // namespace

Status check_host_path(const std::string& path, const HostPathRule& rule) {
  if (path.empty() || path.front() != '/' || clean_path(path) != path)
    return refused(path, "it is not absolute and clean");
  if (path == "/") return refused(path, "it is the whole host");
  // Nothing above a refused place either, since it would contain it.
  const auto clashes = [&](std::string_view place) {
    return is_within(path, place) || is_within(place, path);
  };
  for (const auto place : kPlacesOfTheKernel)
    if (clashes(place)) return refused(path, fmt::format("{} is not for services", place));
  for (const auto place : kPlacesOfTheHost)
    if (clashes(place)) return refused(path, fmt::format("{} is not for services", place));
  for (const auto& place : rule.refused)
    if (clashes(place)) return refused(path, fmt::format("{} belongs to the agent", place));
  if (rule.allowed.empty()) return ok();
  const bool allowed =
      std::any_of(rule.allowed.begin(), rule.allowed.end(),
                  [&](const auto& prefix) { return is_within(path, clean_path(prefix)); });
  if (allowed) return ok();
  return Error{Errc::host,
               fmt::format("volume source {} is not below an allowed host path", printable(path))}
      .hint("add it to policy.allowed_host_paths in agent.yaml");
}

Status check_volume_source(const std::string& path, const HostPathRule& rule) {
  HF_TRY(check_host_path(path, rule));
  HF_ASSIGN(const auto fd, open_without_links(path));
  return check_not_the_hosts(path, fd.get());
}

Result<std::vector<BundleMount>> service_mounts(const ServiceMountsInput& input) {
  HF_ASSIGN(auto mounts, storage(input));
  HF_TRY(check_all_nested(input));
  const std::set<std::string> taken = [&] {
    std::set<std::string> out;
    for (const auto& mount : mounts) out.insert(mount.destination);
    return out;
  }();
  for (const auto* name : {"hosts", "hostname", "resolv.conf"}) {
    const auto target = fmt::format("/etc/{}", name);
    if (taken.contains(target)) continue;
    const auto source = (input.paths.bundle(input.id) / "etc" / name).string();
    mounts.push_back(
        {target, "bind", source, {"bind", "ro", "rprivate", "nosuid", "nodev", "noexec"}});
  }
  const auto& secrets = input.service.secrets;
  if (std::any_of(secrets.begin(), secrets.end(),
                  [](const auto& secret) { return secret.target.empty(); }))
    mounts.push_back({"/run/secrets",
                      "bind",
                      input.paths.secrets(input.id).string(),
                      {"bind", "ro", "rprivate", "nosuid", "nodev", "noexec"}});
  if (!input.init.empty())
    mounts.push_back({std::string{kInitPath},
                      "bind",
                      input.init.string(),
                      {"bind", "ro", "rprivate", "nosuid", "nodev"}});
  // The directory, not the socket: an agent that comes back binds a new one in it.
  if (uses_sd_notify(input.service))
    mounts.push_back({"/run/notify",
                      "bind",
                      input.paths.notify(input.id).string(),
                      {"bind", "ro", "rprivate", "nosuid", "nodev", "noexec"}});
  return mounts;
}

}  // namespace holdfast::deploy::runtime
