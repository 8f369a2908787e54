#include "deploy/runtime/spec/seccomp_table.hpp"

namespace holdfast::deploy::runtime {

// Names a kernel or libseccomp does not know are passed over by the runtime, so newer ones may
// stand here.
const std::string_view kAllowedCalls =
    "accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown "
    "clock_adjtime clock_getres clock_gettime clock_gettime64 clock_nanosleep close close_range "
    "connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait "
    "epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit exit_group faccessat "
    "faccessat2 fadvise64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown "
    "fchownat fcntl fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat "
    "fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv futex_wake futimesat "
    "get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid geteuid getgid "
    "getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom "
    "getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday "
    "getuid getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch "
    "io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit ioctl ioprio_get "
    "ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown "
    "lgetxattr link linkat listen listmount listxattr listxattrat llistxattr lremovexattr lseek "
    "lsetxattr lstat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir "
    "mkdirat mknod mknodat mlock mlock2 mlockall mmap mprotect mq_getsetattr mq_notify mq_open "
    "mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync "
    "munlock munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause "
    "pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl "
    "pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev "
    "pselect6 ptrace pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom "
    "recvmmsg recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2 "
    "restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo "
    "rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max "
    "sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler "
    "sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler "
    "sched_yield seccomp select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto "
    "set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setitimer "
    "setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setsockopt setuid "
    "setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 "
    "socketpair splice stat statfs statmount statx symlink symlinkat sync sync_file_range syncfs "
    "sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime "
    "timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask "
    "uname unlink unlinkat uretprobe utime utimensat utimes vfork wait4 waitid write writev ";

// Dangerous, or of use only with a capability: EPERM, which programs expect there. Everything else
// that is not allowed answers ENOSYS, so that libraries fall back to older calls.
const std::string_view kForbiddenCalls =
    "add_key kexec_file_load kexec_load keyctl migrate_pages move_pages nfsservctl request_key "
    "swapoff swapon sysfs "
    "uselib userfaultfd ustat vmsplice ";

const std::array<CapabilityCalls, 13> kCapabilityCalls{{
    {"CAP_DAC_READ_SEARCH", "open_by_handle_at "},
    {"CAP_SYS_ADMIN",
     "bpf fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr "
     "move_mount open_tree "
     "perf_event_open pivot_root quotactl quotactl_fd setdomainname sethostname setns syslog "
     "umount umount2 unshare "},
    {"CAP_SYS_BOOT", "reboot "},
    {"CAP_SYS_CHROOT", "chroot "},
    {"CAP_SYS_MODULE", "delete_module finit_module init_module "},
    {"CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node "},
    {"CAP_SYS_PACCT", "acct "},
    {"CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise "},
    {"CAP_SYS_RAWIO", "ioperm iopl "},
    {"CAP_SYS_TIME", "clock_settime settimeofday "},
    {"CAP_SYS_TTY_CONFIG", "vhangup "},
    {"CAP_BPF", "bpf "},
    {"CAP_PERFMON", "perf_event_open "},
}};

#if defined(__x86_64__)
const std::string_view kNativeArchitecture = "SCMP_ARCH_X86_64";
const std::string_view kArchitectureCalls = "arch_prctl modify_ldt ";
#elif defined(__aarch64__)
const std::string_view kNativeArchitecture = "SCMP_ARCH_AARCH64";
const std::string_view kArchitectureCalls = "sync_file_range2 ";
#else
#error "no system call filter for this architecture"
#endif

}  // namespace holdfast::deploy::runtime
