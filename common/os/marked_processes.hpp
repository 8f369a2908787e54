#pragma once
/// \file
/// Processes that are known by what their environment holds: it is handed down to whatever they
/// start, in whichever session, and no number is ever given away with it.

#include <cstddef>
#include <filesystem>
#include <string_view>

#include "common/base/clock.hpp"

namespace holdfast::os {

/// SIGKILL to every process of `list` (a cgroup.procs) whose environment has an entry that begins
/// with `mark`; how many there were. About 20 µs a process.
std::size_t kill_marked(const std::filesystem::path& list, std::string_view mark);

/// The same until there is none; false: after `within` there still is.
bool end_marked(const std::filesystem::path& list, std::string_view mark, Milliseconds within);

}  // namespace holdfast::os
