#include "agent/worker/confine.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

#include "common/os/unique_fd.hpp"

namespace holdfast::agent::worker {
namespace {

constexpr uid_t kNobody = 65534;
constexpr rlim_t kGrace = 5;  ///< seconds between SIGXCPU and SIGKILL

Status set_limit(__rlimit_resource resource, std::uint64_t value) {
  rlimit limit{value, value};
  if (resource == RLIMIT_CPU) {
    // At the hard limit the kernel kills: SIGXCPU, which says why, comes at a lower soft one only.
    if (getrlimit(resource, &limit) != 0) return errno_error(errno, "read a resource limit");
    limit.rlim_cur = std::min<rlim_t>(value, limit.rlim_max);
    limit.rlim_max =
        limit.rlim_max - limit.rlim_cur > kGrace ? limit.rlim_cur + kGrace : limit.rlim_max;
  }
  if (setrlimit(resource, &limit) != 0) return errno_error(errno, "set a resource limit");
  return ok();
}

}  // namespace

Status limit_process(const Limits& limits) {
  HF_TRY(set_limit(RLIMIT_AS, limits.address_space));
  HF_TRY(set_limit(RLIMIT_FSIZE, limits.file_size));
  HF_TRY(set_limit(RLIMIT_NOFILE, limits.open_files));
  HF_TRY(set_limit(RLIMIT_CPU, limits.cpu_seconds));
  HF_TRY(set_limit(RLIMIT_CORE, 0));
  if (prctl(PR_SET_DUMPABLE, 0) != 0) return errno_error(errno, "PR_SET_DUMPABLE");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno_error(errno, "PR_SET_NO_NEW_PRIVS");
  return ok();
}

Status limit_cpu(std::uint64_t seconds) { return set_limit(RLIMIT_CPU, seconds); }

Status enter_namespaces() {
  if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0)
    return errno_error(errno, "unshare");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return errno_error(errno, "make mounts private");
  return ok();
}

Status enter_root(int given) {
  // A descriptor from before the new mount namespace names a mount of the old one, which cannot be
  // cloned here: the same directory is opened again by its path.
  std::string path(4096, '\0');
  const std::string link = "/proc/self/fd/" + std::to_string(given);
  const ssize_t size = readlink(link.c_str(), path.data(), path.size());
  if (size < 0) return errno_error(errno, "read " + link);
  path.resize(static_cast<std::size_t>(size));
  const os::UniqueFd directory{::open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
  if (!directory) return errno_error(errno, "open the layer's tree");
  const int fd = directory.get();
  const os::UniqueFd tree{static_cast<int>(
      syscall(SYS_open_tree, fd, "",
              AT_EMPTY_PATH | OPEN_TREE_CLONE | static_cast<unsigned>(OPEN_TREE_CLOEXEC)))};
  if (!tree) return errno_error(errno, "clone the layer's mount");
  if (syscall(SYS_move_mount, tree.get(), "", fd, "",
              MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
    return errno_error(errno, "mount the layer on itself");
  if (fchdir(tree.get()) != 0) return errno_error(errno, "enter the layer");
  if (syscall(SYS_pivot_root, ".", ".") != 0) return errno_error(errno, "pivot_root");
  if (umount2(".", MNT_DETACH) != 0) return errno_error(errno, "detach the old root");
  if (chdir("/") != 0) return errno_error(errno, "chdir");
  return ok();
}

namespace {

/// What even a program with file capabilities could not get back. Needs CAP_SETPCAP, so it comes
/// before the change of user.
Status drop_bounding_set(std::uint64_t keep) {
  for (int capability = 0; capability < 64; ++capability) {
    if (((keep >> static_cast<unsigned>(capability)) & 1U) != 0) continue;
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EINVAL)
      return errno_error(errno, "drop a capability");
  }
  return ok();
}

Status set_capabilities(std::uint64_t keep) {
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  for (std::size_t i = 0; i < data.size(); ++i) {
    const auto word = static_cast<std::uint32_t>(keep >> (32 * i));
    data[i] = {word, word, 0};
  }
  if (syscall(SYS_capset, &header, data.data()) != 0) return errno_error(errno, "capset");
  return ok();
}

}  // namespace

Status keep_capabilities(std::span<const int> capabilities) {
  std::uint64_t keep = 0;
  for (const int capability : capabilities)
    keep |= std::uint64_t{1} << static_cast<unsigned>(capability);
  HF_TRY(drop_bounding_set(keep));
  return set_capabilities(keep);
}

Status become_nobody() {
  HF_TRY(drop_bounding_set(0));
  if (setgroups(0, nullptr) != 0) return errno_error(errno, "setgroups");
  if (setresgid(kNobody, kNobody, kNobody) != 0) return errno_error(errno, "setresgid");
  if (setresuid(kNobody, kNobody, kNobody) != 0) return errno_error(errno, "setresuid");
  return set_capabilities(0);
}

Status restrict_files_to_reading() {
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1U) - 1;  // all of ABI 1
  const os::UniqueFd rules{
      static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0))};
  if (!rules && (errno == ENOSYS || errno == EOPNOTSUPP)) return ok();
  if (!rules) return errno_error(errno, "create a landlock ruleset");
  for (const char* path :
       {"/etc", "/usr", "/lib", "/lib64", "/run/systemd/resolve", "/run/resolvconf",
        "/run/NetworkManager", "/run/connman"}) {  // where resolv.conf may lead
    const os::UniqueFd fd{::open(path, O_PATH | O_CLOEXEC)};
    if (!fd) continue;
    landlock_path_beneath_attr beneath{};
    beneath.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
    beneath.parent_fd = fd.get();
    if (syscall(SYS_landlock_add_rule, rules.get(), LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0)
      return errno_error(errno, "add a landlock rule");
  }
  if (syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0)
    return errno_error(errno, "enter landlock");
  return ok();
}

}  // namespace holdfast::agent::worker
