#pragma once
/// \file
/// Processes that are known by what their environment holds: it is handed down to whatever they
/// start, in whichever session, and no number is ever given away with it.

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <string_view>

#include "common/base/clock.hpp"

namespace holdfast::os {

/// What they are known by.
struct ProcessMark {
  /// How an entry of the environment begins: one that names a single owner ends with what no other
  /// name goes on with ("MARK=1;" and not "MARK=1", which "MARK=10" begins with).
  std::string_view entry;
  pid_t session = 0;  ///< setsid(2); for those that took the entry off. 0: none is known
};

/// SIGKILL to every process of `list` (a cgroup.procs) that has this mark; how many there were. The
/// first process of `session` must not have been waited for: its number could be another's. About
/// 30 µs a process.
std::size_t kill_marked(const std::filesystem::path& list, const ProcessMark& mark);

/// The same until there is none; false: after `within` there still is.
bool end_marked(const std::filesystem::path& list, const ProcessMark& mark, Milliseconds within);

}  // namespace holdfast::os
