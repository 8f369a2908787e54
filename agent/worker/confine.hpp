#pragma once
/// \file
/// How the children of holdfast-worker give up what they do not need (packaging/doc/design.md 4,
/// Children; packaging/doc/security.md 2.5). Each step lasts for the life of the process.
/// Single-threaded: called before any thread is made.

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>

#include "common/base/result.hpp"

namespace holdfast::agent::worker {

struct Limits {
  std::uint64_t address_space;
  std::uint64_t file_size;
  std::uint64_t open_files;
  std::uint64_t cpu_seconds = ~std::uint64_t{0};  ///< of all threads together; then SIGXCPU
};

/// Sets resource limits, no core dumps, not dumpable, no new privileges. Errors: by errno.
[[nodiscard]] Status limit_process(const Limits& limits);

/// Lowers the limit of processor time; then SIGXCPU. Allowed after `allow_system_calls`, in every
/// profile. Errors: by errno.
[[nodiscard]] Status limit_cpu(std::uint64_t seconds);

/// Own mount, network, IPC and UTS namespaces, nothing propagating to or from the host. Errors: by
/// errno.
[[nodiscard]] Status enter_namespaces();

/// Makes the directory behind `fd` the root of everything this process can name. Needs
/// `enter_namespaces`.
[[nodiscard]] Status enter_root(int fd);

/// Keeps these capabilities (numbers of linux/capability.h) and no others, in every set. Errors: by
/// errno.
[[nodiscard]] Status keep_capabilities(std::span<const int> capabilities);

/// Becomes nobody, for ever. Errors: by errno.
[[nodiscard]] Status become_nobody();

/// What `allow_system_calls` leaves possible.
enum class Profile : std::uint8_t {
  unpack,   ///< files below the root, memory, threads; verifying too
  archive,  ///< one open file, the parent's messages, memory, threads
  fetch,    ///< sockets, reading files, memory, threads
};

/// Everything but the profile's system calls fails with EPERM. Errors: internal.
[[nodiscard]] Status allow_system_calls(Profile profile);

/// Reading below the system's configuration and libraries is all that is left of the file system,
/// where the kernel has Landlock; elsewhere nothing changes. Errors: by errno.
[[nodiscard]] Status restrict_files_to_reading();

}  // namespace holdfast::agent::worker
