#pragma once
/// \file
/// Proof that a container's first process is confined as was asked, read from the kernel before its
/// program runs.

#include <sys/types.h>

#include <cstdint>
#include <string_view>

#include "common/base/result.hpp"

namespace holdfast::deploy::runtime {

/// What /proc/PID/status must show.
struct Confinement {
  std::uint64_t bounding = 0;  ///< bit masks; permitted and in effect are these for root,
  std::uint64_t ambient = 0;   ///< and these for others, who inherit them too
  bool no_new_privileges = true;
  bool seccomp = true;
  std::uint32_t uid = 0;
};

/// Errors: runtime, naming the line that differs.
[[nodiscard]] Status check_confinement(pid_t pid, const Confinement& wanted);
/// The same on the text of a status file. Pure.
[[nodiscard]] Status check_confinement_text(std::string_view status, const Confinement& wanted);

}  // namespace holdfast::deploy::runtime
