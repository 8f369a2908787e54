#include "deploy/network/kernel/netns.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "common/os/file.hpp"
#include "common/os/process.hpp"

namespace holdfast::deploy::network {
namespace {

Status loopback_up() {
  const os::UniqueFd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (!socket) return errno_error(errno, "open a socket in the new namespace");
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", sizeof request.ifr_name - 1);
  if (ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0)
    return errno_error(errno, "read the flags of lo");
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) return errno_error(errno, "bring lo up");
  return ok();
}

Status make_and_pin(const std::filesystem::path& path) {
  if (unshare(CLONE_NEWNET) != 0) {
    return errno_error(errno, "make a network namespace")
        .hint("the agent needs root with CAP_SYS_ADMIN");
  }
  HF_TRY(loopback_up());
  if (mount("/proc/thread-self/ns/net", path.c_str(), nullptr, MS_BIND, nullptr) != 0)
    return errno_error(errno, "mount the namespace on " + path.string());
  return ok();
}

/// A thread may change its namespace for good; one that ends afterwards disturbs nobody.
Status on_a_thread(const std::function<Status()>& work) {
  Status outcome = ok();
  std::jthread thread([&] {
    os::name_this_thread("netns");
    outcome = work();
  });
  thread.join();
  return outcome;
}

}  // namespace

Status pin_new_netns(const std::filesystem::path& path) {
  if (is_netns_pinned(path))
    return Error{Errc::conflict,
                 fmt::format("a network namespace is already pinned at {}", path.string())};
  HF_TRY(os::make_directories(path.parent_path(), 0700));
  HF_TRY(os::open_file(path, O_RDONLY | O_CREAT, 0400));
  auto made = on_a_thread([&] { return make_and_pin(path); });
  if (!made) ::unlink(path.c_str());
  return made;
}

Status pin_netns_of(pid_t process, const std::filesystem::path& path) {
  HF_TRY(os::make_directories(path.parent_path(), 0700));
  HF_TRY(os::open_file(path, O_RDONLY | O_CREAT, 0400));
  const auto own = fmt::format("/proc/{}/ns/net", process);
  if (mount(own.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0)
    return errno_error(errno, fmt::format("mount {} on {}", own, path.string()));
  return ok();
}

bool is_netns_pinned(const std::filesystem::path& path) {
  struct statfs info {};
  return statfs(path.c_str(), &info) == 0 && info.f_type == NSFS_MAGIC;
}

Status unpin_netns(const std::filesystem::path& path) {
  // Several mounts may lie on one another; EINVAL says that none is left.
  while (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
  }
  if (errno != EINVAL && errno != ENOENT) return errno_error(errno, "unmount " + path.string());
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return errno_error(errno, "remove " + path.string());
  return ok();
}

Status run_in_netns(const std::filesystem::path& path, const std::function<Status()>& work) {
  HF_ASSIGN(const auto netns, os::open_file(path, O_RDONLY));
  return on_a_thread([&]() -> Status {
    if (setns(netns.get(), CLONE_NEWNET) != 0) return errno_error(errno, "enter " + path.string());
    return work();
  });
}

}  // namespace holdfast::deploy::network
