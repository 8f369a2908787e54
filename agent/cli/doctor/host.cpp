// Kernel, cgroups, disk, clock.
#include <fmt/format.h>
#include <linux/landlock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "agent/cli/doctor/checks.hpp"
#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "common/os/processor.hpp"

namespace holdfast::agent::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kTooLittle = 200U << 20;
constexpr std::uint64_t kLittle = 1U << 30;

/// The directory itself, or the nearest one above it that exists: the agent makes the rest.
fs::path existing(fs::path path) {
  std::error_code ignored;
  while (!fs::exists(path, ignored) && path.has_relative_path()) path = path.parent_path();
  return path;
}

std::string small(const char* path) {
  const auto text = os::read_file(path, 64U << 10);
  return text ? std::string{trim(*text)} : std::string{};
}

Finding missing_controllers(std::string_view mode, const std::string& missing) {
  if (missing.empty())
    return {"cgroup", Verdict::ok, fmt::format("{}, with memory, cpu and pids", mode), {}};
  return {"cgroup", Verdict::fail, fmt::format("{}, without {}", mode, missing),
          "boot with cgroup_enable=memory, and let nobody take controllers from the root group"};
}

Error mount_failed(const char* what) { return errno_error(errno, what); }

/// In a mount namespace of this process, so that it vanishes with it. The host's mounts are not
/// touched.
Status try_overlay(const fs::path& scratch) {
  for (const char* name : {"a", "b", "merged"}) HF_TRY(os::make_directories(scratch / name));
  HF_TRY(os::write_atomic(scratch / "a" / "seen", "from below", 0600, os::Durability::lazy));
  if (::unshare(CLONE_NEWNS) != 0) return mount_failed("make a mount namespace");
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return mount_failed("make mounts private");
  const auto merged = (scratch / "merged").string();
  const auto options =
      fmt::format("lowerdir={}:{}", (scratch / "b").string(), (scratch / "a").string());
  if (::mount("overlay", merged.c_str(), "overlay", MS_RDONLY, options.c_str()) != 0)
    return mount_failed("mount an overlay");
  const auto seen = os::read_file(scratch / "merged" / "seen", 64);
  ::umount2(merged.c_str(), MNT_DETACH);
  if (!seen || *seen != "from below")
    return Error{Errc::io, "an overlay does not show what is below"};
  return ok();
}

Finding disk_finding(std::string check, Verdict verdict, std::string found) {
  std::string next;
  if (verdict != Verdict::ok)
    next =
        "make room, or lower \"retain\" in agent.yaml; images are pulled only where there is space";
  return {std::move(check), verdict, std::move(found), std::move(next)};
}

}  // namespace

Finding check_kernel() {
  utsname name{};
  ::uname(&name);
  int major = 0;
  int minor = 0;
  const bool known =
      std::sscanf(name.release, "%d.%d", &major, &minor) == 2;  // NOLINT(cert-err34-c): checked
  const auto found = fmt::format("{} {}", name.sysname, name.release);
  // openat2 came with 5.6; pidfds and the new mount calls before it.
  if (known && (major < 5 || (major == 5 && minor < 6)))
    return {"kernel", Verdict::fail, found + " is older than 5.6",
            "boot a newer kernel: openat2 and pidfds are needed"};
  if (::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) < 0)
    return {"kernel", Verdict::warn, found + ", without landlock",
            "boot 5.13 or newer with landlock among lsm=: the child that speaks to registries is "
            "confined by all else, but may read the host's public files"};
  return {"kernel", Verdict::ok, found, {}};
}

Finding check_processor() {
  if (os::has_carryless_multiply())
    return {"processor", Verdict::ok, "unpacks gzip by its own instructions", {}};
  return {"processor", Verdict::warn, "has no PCLMULQDQ: gzip layers take 2.5 times as long",
          "on a virtual machine choose a newer processor model, e.g. x86-64-v3 or host"};
}

Finding check_cgroup() {
  std::string missing;
  const auto need = [&](const char* controller, bool there) {
    if (!there) missing += fmt::format("{}{}", missing.empty() ? "" : ", ", controller);
  };
  if (::access("/sys/fs/cgroup/cgroup.controllers", R_OK) == 0) {
    const auto have = " " + small("/sys/fs/cgroup/cgroup.controllers") + " ";
    for (const char* name : {"memory", "cpu", "pids"})
      need(name, have.find(fmt::format(" {} ", name)) != std::string::npos);
    return missing_controllers("version 2", missing);
  }
  for (const char* name : {"memory", "cpu", "pids"})
    need(name, ::access((std::string{"/sys/fs/cgroup/"} + name).c_str(), R_OK) == 0);
  const bool hybrid = ::access("/sys/fs/cgroup/unified", R_OK) == 0;
  return missing_controllers(hybrid ? "hybrid" : "version 1", missing);
}

Finding check_overlay(const proto::AgentConfig& config) {
  if (::geteuid() != 0)
    return {"overlay", Verdict::warn, "cannot be checked without root",
            "run \"holdfast doctor\" as root"};
  const auto parent = existing(config.state_dir);
  const auto scratch = os::TempDir::create(parent, "holdfast-doctor");
  if (!scratch)
    return {"overlay", Verdict::fail, scratch.error().what(),
            "make state_dir writable for the agent"};
  if (const auto tried = try_overlay(scratch->path()); !tried)
    return {"overlay", Verdict::fail, tried.error().what(),
            fmt::format("put state_dir on ext4 or xfs (now {}), and load the kernel module overlay",
                        parent.string())};
  return {"overlay", Verdict::ok, fmt::format("can be mounted on {}", parent.string()), {}};
}

Findings check_disk(const proto::AgentConfig& config) {
  const auto where = existing(config.state_dir);
  struct statvfs volume {};
  if (::statvfs(where.c_str(), &volume) != 0)
    return {{"disk", Verdict::fail, errno_error(errno, "look at " + where.string()).what(),
             "check state_dir in agent.yaml"}};
  const std::uint64_t free = std::uint64_t{volume.f_bavail} * volume.f_frsize;
  const std::uint64_t size = std::uint64_t{volume.f_blocks} * volume.f_frsize;
  const auto space = free < kTooLittle || config.disk.is_low(free, size) ? Verdict::fail
                     : free < kLittle || free < size / 20                ? Verdict::warn
                                                                         : Verdict::ok;
  Findings findings{disk_finding(
      "disk", space,
      fmt::format("{} free of {} at {}", human_bytes(free), human_bytes(size), where.string()))};
  if (volume.f_files == 0) return findings;  // btrfs and the like have no fixed number
  const auto inodes = volume.f_favail < 10'000                ? Verdict::fail
                      : volume.f_favail < volume.f_files / 20 ? Verdict::warn
                                                              : Verdict::ok;
  findings.push_back(disk_finding("inodes", inodes,
                                  fmt::format("{} free of {}", volume.f_favail, volume.f_files)));
  return findings;
}

Finding check_clock(const Clock& clock) {
  using namespace std::chrono;
  constexpr auto kReleased = sys_days{year{2026} / November / 1};
  const auto now = to_rfc3339(clock.wall());
  if (clock.wall() < kReleased)
    return {"clock", Verdict::fail, now + " is before this program was made",
            "set the clock: signatures and certificates depend on it"};
  timex state{};
  const bool unsynchronised = ::adjtimex(&state) == TIME_ERROR || (state.status & STA_UNSYNC) != 0;
  if (unsynchronised)
    return {"clock", Verdict::warn, now + ", not synchronised",
            "systemctl enable --now systemd-timesyncd (or chrony)"};
  return {"clock", Verdict::ok, now + ", synchronised", {}};
}

Finding check_forwarding() {
  if (small("/proc/sys/net/ipv4/ip_forward") == "1")
    return {"forwarding", Verdict::ok, "net.ipv4.ip_forward is 1: this host is a router", {}};
  return {"forwarding",
          Verdict::ok,
          "net.ipv4.ip_forward is 0: the agent forwards for its containers only",
          {}};
}

}  // namespace holdfast::agent::cli
