#include "deploy/runtime/host/cgroup.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "common/base/clock.hpp"
#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "deploy/runtime/record/small_file.hpp"
#include "deploy/runtime/spec/bundle.hpp"
#include "deploy/runtime/storage/mounts.hpp"

namespace holdfast::deploy::runtime {
namespace {

using Path = std::filesystem::path;
constexpr std::array<std::string_view, 8> kControllers{"memory", "cpu",     "pids",    "freezer",
                                                       "cpuset", "cpuacct", "devices", "blkio"};

Status write_file(const Path& path, std::string_view value) {
  HF_ASSIGN(const auto fd, os::open_file(path, O_WRONLY));
  if (::write(fd.get(), value.data(), value.size()) < 0)
    return errno_error(errno, "write " + path.string());
  return ok();
}

std::optional<std::uint64_t> number_after(const std::string& text, std::string_view key) {
  for (const auto line : split(text, '\n'))
    if (line.starts_with(key) && line.size() > key.size() && line[key.size()] == ' ')
      if (const auto value = parse_number(trim(line.substr(key.size())))) return *value;
  return std::nullopt;
}

/// Depth first; only directories can be removed from cgroupfs.
bool remove_group(const Path& path) {
  if (DIR* dir = opendir(path.c_str())) {
    while (const dirent* entry = readdir(dir)) {
      const std::string_view name = entry->d_name;
      if (entry->d_type == DT_DIR && name != "." && name != "..") remove_group(path / name);
    }
    closedir(dir);
  }
  return ::rmdir(path.c_str()) == 0 || errno == ENOENT;
}

std::string memory_text(std::uint64_t bytes) {
  constexpr std::uint64_t kUnlimited = std::uint64_t{1}
                                       << 62;  // v1 shows LONG_MAX rounded down to a page
  return bytes >= kUnlimited ? "unlimited" : human_bytes(bytes);
}

std::optional<std::uint64_t> limit_number(const std::string& text) {
  if (text == "max" || text == "-1") return ~std::uint64_t{0};
  const auto value = parse_number(text);
  return value ? std::optional{*value} : std::nullopt;
}

}  // namespace

Result<Cgroups> Cgroups::detect() {
  HF_ASSIGN(const auto text, os::read_regular_file("/proc/self/mountinfo"));
  return from_mountinfo(text);
}

Result<Cgroups> Cgroups::from_mountinfo(std::string_view text) {
  Cgroups found;
  for (const auto& mount : parse_mountinfo(text)) {
    if (mount.type == "cgroup2" && found.unified_.empty()) {
      found.unified_ = mount.target;
      found.roots_.emplace_back(mount.target);
    }
    if (mount.type != "cgroup") continue;
    bool any = mount.super_options.find("name=") != std::string::npos;
    for (const auto option : split(mount.super_options, ','))
      if (std::find(kControllers.begin(), kControllers.end(), option) != kControllers.end())
        any = found.v1_.emplace(std::string{option}, mount.target).second || any;
    if (any) found.roots_.emplace_back(mount.target);
  }
  if (found.unified() || found.v1_.contains("freezer")) return found;
  return Error{Errc::runtime, "no cgroup hierarchy with a freezer is mounted"}.hint(
      "mount -t cgroup2 none /sys/fs/cgroup");
}

std::optional<Path> Cgroups::controller(const std::string& name, const std::string& group) const {
  if (unified()) return Path{unified_.string() + group};
  const auto found = v1_.find(name);
  if (found == v1_.end()) return std::nullopt;
  return Path{found->second.string() + group};
}

std::vector<Path> Cgroups::everywhere(const std::string& group) const {
  std::vector<Path> out;
  for (const auto& root : roots_) out.emplace_back(root.string() + group);
  return out;
}

std::optional<std::string> Cgroups::read(const std::string& controller_name,
                                         const std::string& group, const char* v1_file,
                                         const char* v2_file) const {
  const auto directory = controller(controller_name, group);
  if (!directory) return std::nullopt;
  return read_small(directory->string() + "/" + (unified() ? v2_file : v1_file));
}

std::optional<Path> Cgroups::freezer_file(const std::string& group) const {
  const auto directory = controller("freezer", group);
  if (!directory) return std::nullopt;
  return *directory / (unified() ? "cgroup.freeze" : "freezer.state");
}

Status Cgroups::freeze(const std::string& group, const std::stop_token& spare) const {
  const auto file = freezer_file(group);
  if (!file) return Error{Errc::runtime, "the host has no freezer"};
  constexpr auto kStep = std::chrono::microseconds{100};
  constexpr int kTries = 1000;
  constexpr int kThawEvery = 50;
  for (int i = 0; i < kTries; ++i) {
    if (spare.stop_requested()) return Error{Errc::cancelled, "the instance is needed again"};
    // v1 may stay in FREEZING while a task is between states; writing again pushes it on. Some
    // states it leaves only when it may run (freezer-subsystem.txt of the kernel: "retry or thaw").
    if (!unified() && i % kThawEvery == kThawEvery - 1) {
      HF_TRY(write_file(*file, "THAWED"));
      os::sleep_until(SystemClock{}.boot() + kStep, {});
    }
    HF_TRY(write_file(*file, unified() ? "1" : "FROZEN"));
    if (frozen(group)) return ok();
    os::sleep_until(SystemClock{}.boot() + kStep, {});
  }
  return Error{Errc::timed_out, fmt::format("freeze {}: a process does not stand still", group)};
}

Status Cgroups::thaw(const std::string& group) const {
  const auto file = freezer_file(group);
  if (!file) return ok();
  return write_file(*file, unified() ? "0" : "THAWED");
}

bool Cgroups::frozen(const std::string& group) const {
  const auto directory = controller("freezer", group);
  if (!directory) return false;
  if (unified())
    return number_after(read_small(directory->string() + "/cgroup.events").value_or(""),
                        "frozen") == std::uint64_t{1};
  return read_small(directory->string() + "/freezer.state") == "FROZEN";
}

std::vector<std::string> Cgroups::deviations(const std::string& group, const Limits& wanted) const {
  std::vector<std::string> out;
  if (const auto pids = read("pids", group, "pids.max", "pids.max");
      pids && *pids != std::to_string(wanted.pids))
    out.push_back(fmt::format("pids is {}, not {}", *pids, wanted.pids));
  static const std::uint64_t page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  if (wanted.memory_bytes) {
    const auto text = read("memory", group, "memory.limit_in_bytes", "memory.max");
    const auto now = text ? limit_number(*text) : std::nullopt;
    if (now && *now != *wanted.memory_bytes / page * page)
      out.push_back(fmt::format("memory is {}, not {}", memory_text(*now),
                                memory_text(*wanted.memory_bytes)));
  }
  if (wanted.millicpus) {
    const auto text = read("cpu", group, "cpu.cfs_quota_us", "cpu.max");
    const std::uint64_t quota = std::uint64_t{*wanted.millicpus} * (kCpuPeriodUs / 1000);
    const auto now = text ? limit_number(std::string{split(*text, ' ').front()}) : std::nullopt;
    if (now && *now != quota) {
      const auto is = *now == ~std::uint64_t{0}
                          ? "unlimited"
                          : fmt::format("{:.2f}", static_cast<double>(*now) / kCpuPeriodUs);
      out.push_back(
          fmt::format("cpus is {}, not {:.2f}", is, static_cast<double>(quota) / kCpuPeriodUs));
    }
  }
  return out;
}

Status Cgroups::enforce(const std::string& group, const Limits& wanted) const {
  const auto write = [&](const char* name, const char* v1_file, const char* v2_file,
                         const std::string& value) -> Status {
    const auto directory = controller(name, group);
    if (!directory) return ok();  // what the host lacks cannot be enforced, nor was it before
    return write_file(*directory / (unified() ? v2_file : v1_file), value);
  };
  HF_TRY(write("pids", "pids.max", "pids.max", std::to_string(wanted.pids)));
  if (wanted.memory_bytes)
    HF_TRY(write("memory", "memory.limit_in_bytes", "memory.max",
                 std::to_string(*wanted.memory_bytes)));
  if (!wanted.millicpus) return ok();
  const auto quota = std::to_string(std::uint64_t{*wanted.millicpus} * (kCpuPeriodUs / 1000));
  const auto period = std::to_string(kCpuPeriodUs);
  if (unified()) return write("cpu", "", "cpu.max", quota + " " + period);
  HF_TRY(write("cpu", "cpu.cfs_period_us", "", period));
  return write("cpu", "cpu.cfs_quota_us", "", quota);
}

std::vector<Path> Cgroups::watched(const std::string& group) const {
  if (unified()) return {Path{unified_.string() + group}};
  std::vector<Path> out;
  for (const auto* name : {"memory", "cpu", "pids", "freezer"})
    if (const auto directory = controller(name, group)) out.push_back(*directory);
  return out;
}

os::UniqueFd Cgroups::watch_oom(const std::string& group) const {
  const auto directory = unified() ? std::nullopt : controller("memory", group);
  if (!directory) return {};
  os::UniqueFd event{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  const os::UniqueFd control{
      ::open((*directory / "memory.oom_control").c_str(), O_RDONLY | O_CLOEXEC)};
  if (!event || !control ||
      !write_file(*directory / "cgroup.event_control",
                  fmt::format("{} {}", event.get(), control.get())))
    return {};
  return event;
}

std::uint64_t Cgroups::oom_kills(const std::string& group) const {
  const auto text = read("memory", group, "memory.oom_control", "memory.events");
  return text ? number_after(*text, "oom_kill").value_or(0) : 0;
}

Status Cgroups::adopt(const std::string& group, pid_t pid) const {
  for (const auto& directory : everywhere(group)) {
    HF_TRY(os::make_directories(directory, 0755));
    if (v1_.contains("cpuset") && directory.string().starts_with(v1_.at("cpuset").string() + "/"))
      continue;  // needs cpus first
    HF_TRY(write_file(directory / "cgroup.procs", std::to_string(pid)));
  }
  return ok();
}

Path Cgroups::list_of_processes(const std::string& group) const {
  const auto directory = controller("freezer", group);
  return directory ? *directory / "cgroup.procs" : Path{};
}

std::vector<pid_t> Cgroups::processes(const std::string& group) const {
  std::vector<pid_t> out;
  const auto directory = controller("freezer", group);
  if (!directory) return out;
  const auto text = os::read_regular_file(*directory / "cgroup.procs");
  if (!text) return out;
  for (const auto line : split(*text, '\n'))
    if (const auto pid = parse_number(line); pid && *pid > 0)
      out.push_back(static_cast<pid_t>(*pid));
  return out;
}

Status Cgroups::kill_all(const std::string& group) const {
  const auto directory = controller("freezer", group);
  if (!directory || ::access(directory->c_str(), F_OK) != 0) return ok();
  if (unified() && write_file(*directory / "cgroup.kill", "1")) return ok();
  for (const pid_t pid : processes(group)) ::kill(pid, SIGKILL);
  return ok();
}

bool Cgroups::remove(const std::string& group) const {
  bool gone = true;
  for (const auto& directory : everywhere(group)) gone = remove_group(directory) && gone;
  return gone;
}

bool Cgroups::remove_empty(const std::string& group) const {
  bool gone = true;
  for (const auto& directory : everywhere(group))
    gone = (::rmdir(directory.c_str()) == 0 || errno == ENOENT) && gone;
  return gone;
}

}  // namespace holdfast::deploy::runtime
