// The system calls that are left to the children. The filter is written out here: it is a list of
// numbers, and to have libseccomp make it took a tenth of a small pull.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <span>
#include <vector>

#include "agent/worker/confine.hpp"

namespace holdfast::agent::worker {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
constexpr std::uint32_t kOtherAbi = 0x40000000;  // x32 calls have this bit
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
constexpr std::uint32_t kOtherAbi = 0x80000000;  // no call has it
#else
#error "the system calls of this architecture are not known here"
#endif

constexpr int kBoth[] = {
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_close,
    SYS_fstat,
    SYS_newfstatat,
    SYS_statx,
    SYS_lseek,
    SYS_mmap,
    SYS_munmap,
    SYS_mremap,
    SYS_mprotect,
    SYS_madvise,
    SYS_brk,
    SYS_futex,
    SYS_clone,
    SYS_clone3,
    SYS_set_robust_list,
    SYS_rseq,
    SYS_exit,
    SYS_exit_group,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sigaltstack,
    SYS_restart_syscall,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_gettid,
    SYS_getpid,
    SYS_tgkill,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_gettimeofday,
    SYS_getrandom,
    SYS_prctl,
    SYS_uname,
    SYS_fcntl,
    SYS_openat,
    SYS_dup,
    SYS_ppoll,
    SYS_sysinfo,
    SYS_getcwd,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_prlimit64,
    SYS_getdents64,
    SYS_readlinkat,
    SYS_membarrier,
#ifdef SYS_open  // an architecture with the older calls
    SYS_time,
    SYS_poll,
    SYS_access,
    SYS_readlink,
#endif
};

constexpr int kUnpack[] = {
    SYS_openat2,   SYS_pread64,    SYS_pwrite64,  SYS_mkdirat,   SYS_mknodat,
    SYS_symlinkat, SYS_linkat,     SYS_unlinkat,  SYS_fchown,    SYS_fchownat,
    SYS_fchmod,    SYS_fchmodat,   SYS_utimensat, SYS_ftruncate, SYS_fallocate,
    SYS_fchdir,    SYS_fsetxattr,  SYS_lsetxattr, SYS_fgetxattr, SYS_flistxattr,
    SYS_lgetxattr, SYS_llistxattr, SYS_fsync,     SYS_fdatasync, SYS_sync_file_range,
    SYS_fadvise64, SYS_umask,      SYS_fstatfs,
#ifdef SYS_open  // an architecture with the older calls
    SYS_mknod,
#endif
};

constexpr int kArchive[] = {
    SYS_pread64,
    SYS_recvmsg,
};

constexpr int kFetch[] = {
    SYS_socket,     SYS_socketpair, SYS_connect,  SYS_getsockname, SYS_getpeername, SYS_getsockopt,
    SYS_setsockopt, SYS_sendto,     SYS_recvfrom, SYS_sendmsg,     SYS_recvmsg,     SYS_sendmmsg,
    SYS_recvmmsg,   SYS_bind,       SYS_shutdown, SYS_ioctl,       SYS_pipe2,       SYS_eventfd2,
    SYS_pselect6,   SYS_getuid,     SYS_geteuid,  SYS_getgid,      SYS_getegid,     SYS_pread64,
    SYS_fstatfs,    SYS_statfs,     SYS_splice,
#ifdef SYS_open  // an architecture with the older calls
    SYS_open,       SYS_stat,       SYS_lstat,    SYS_pipe,        SYS_select,
#endif
};

std::span<const int> calls_of(Profile profile) {
  if (profile == Profile::unpack) return kUnpack;
  return profile == Profile::archive ? std::span<const int>{kArchive} : kFetch;
}

/// seccomp(2): a number of a list is allowed, any other call fails with EPERM; a call by way of
/// another architecture ends the process.
std::vector<sock_filter> filter_of(Profile profile) {
  std::vector<int> numbers{std::begin(kBoth), std::end(kBoth)};
  const auto more = calls_of(profile);
  numbers.insert(numbers.end(), more.begin(), more.end());
  const auto load = [](std::size_t offset) {
    return sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<std::uint32_t>(offset)};
  };
  const auto leave = [](std::uint32_t verdict) {
    return sock_filter{BPF_RET | BPF_K, 0, 0, verdict};
  };
  std::vector<sock_filter> program{
      load(offsetof(seccomp_data, arch)),
      {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, kArchitecture},
      leave(SECCOMP_RET_KILL_PROCESS),
      load(offsetof(seccomp_data, nr)),
  };
  const auto jump = [](std::uint16_t how, std::uint32_t value, std::size_t lines) {
    return sock_filter{static_cast<std::uint16_t>(BPF_JMP | how | BPF_K),
                       static_cast<std::uint8_t>(lines), 0, value};
  };
  // The last line but one refuses, the last one allows.
  program.push_back(jump(BPF_JGE, kOtherAbi, numbers.size()));
  for (std::size_t i = 0; i < numbers.size(); ++i)
    program.push_back(jump(BPF_JEQ, static_cast<std::uint32_t>(numbers[i]), numbers.size() - i));
  program.push_back(leave(SECCOMP_RET_ERRNO | EPERM));
  program.push_back(leave(SECCOMP_RET_ALLOW));
  return program;
}

static_assert(std::size(kBoth) + std::size(kFetch) < 255 &&
                  std::size(kBoth) + std::size(kUnpack) < 255,
              "a jump of the filter is a byte");

}  // namespace

Status allow_system_calls(Profile profile) {
  auto filter = filter_of(profile);
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno_error(errno, "PR_SET_NO_NEW_PRIVS");
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
    return errno_error(errno, "load the seccomp filter");
  return ok();
}

}  // namespace holdfast::agent::worker
