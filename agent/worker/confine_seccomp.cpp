// The system calls that are left to the children.
#include <fmt/format.h>
#include <seccomp.h>

#include <cerrno>
#include <memory>
#include <string_view>
#include <vector>

#include "agent/worker/confine.hpp"

namespace holdfast::agent::worker {
namespace {

constexpr std::string_view kBoth[] = {
    "read",
    "write",
    "readv",
    "writev",
    "close",
    "fstat",
    "newfstatat",
    "statx",
    "lseek",
    "mmap",
    "munmap",
    "mremap",
    "mprotect",
    "madvise",
    "brk",
    "futex",
    "clone",
    "clone3",
    "set_robust_list",
    "rseq",
    "exit",
    "exit_group",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigaltstack",
    "restart_syscall",
    "sched_yield",
    "sched_getaffinity",
    "gettid",
    "getpid",
    "tgkill",
    "clock_gettime",
    "clock_nanosleep",
    "gettimeofday",
    "time",
    "getrandom",
    "prctl",
    "uname",
    "fcntl",
    "openat",
    "dup",
    "poll",
    "ppoll",
    "sysinfo",
    "getcwd",
    "access",
    "faccessat",
    "faccessat2",
    "prlimit64",
    "getdents64",
    "readlink",
    "readlinkat",
    "membarrier",
};

constexpr std::string_view kUnpack[] = {
    "openat2",   "pread64",         "pwrite64",   "mkdirat",   "mknodat",    "mknod",
    "symlinkat", "linkat",          "unlinkat",   "fchown",    "fchownat",   "fchmod",
    "fchmodat",  "utimensat",       "ftruncate",  "fallocate", "fchdir",     "fsetxattr",
    "lsetxattr", "fgetxattr",       "flistxattr", "lgetxattr", "llistxattr", "fsync",
    "fdatasync", "sync_file_range", "fadvise64",  "umask",
};

constexpr std::string_view kArchive[] = {"pread64", "recvmsg"};

constexpr std::string_view kFetch[] = {
    "open",        "stat",       "lstat",      "socket",   "socketpair", "connect", "getsockname",
    "getpeername", "getsockopt", "setsockopt", "sendto",   "recvfrom",   "sendmsg", "recvmsg",
    "sendmmsg",    "recvmmsg",   "bind",       "shutdown", "ioctl",      "pipe2",   "pipe",
    "eventfd2",    "select",     "pselect6",   "getuid",   "geteuid",    "getgid",  "getegid",
    "pread64",     "fstatfs",    "statfs",     "splice",
};

}  // namespace

Status allow_system_calls(Profile profile) {
  const std::unique_ptr<void, void (*)(void*)> filter{seccomp_init(SCMP_ACT_ERRNO(EPERM)),
                                                      seccomp_release};
  if (!filter) return Error{Errc::internal, "create a seccomp filter"};
  const auto allow = [&](std::string_view name) -> Status {
    const int number = seccomp_syscall_resolve_name(std::string{name}.c_str());
    if (number == __NR_SCMP_ERROR) return ok();  // not a system call of this architecture
    const int result = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, number, 0);
    if (result != 0)
      return Error{Errc::internal, fmt::format("allow system call {}: {}", name, result)};
    return ok();
  };
  for (const auto name : kBoth) HF_TRY(allow(name));
  if (profile == Profile::unpack) {
    for (const auto name : kUnpack) HF_TRY(allow(name));
  } else if (profile == Profile::archive) {
    for (const auto name : kArchive) HF_TRY(allow(name));
  } else {
    for (const auto name : kFetch) HF_TRY(allow(name));
  }
  const int result = seccomp_load(filter.get());
  if (result != 0) return errno_error(-result, "load the seccomp filter");
  return ok();
}

}  // namespace holdfast::agent::worker
