#pragma once
/// \file
/// How short of memory this host, or the cgroup that holds this process, is.

#include <filesystem>
#include <optional>
#include <string_view>

#include "common/base/strong.hpp"

namespace holdfast::os {

struct MemorySigns {
  std::optional<double>
      pressure;  ///< percent of the last 10 s in which something waited for memory
  std::optional<Bytes> available;  ///< MemAvailable
};

/// Files to look at; a test puts its own in place.
struct MemorySources {
  std::filesystem::path proc = "/proc";
  std::filesystem::path cgroup = "/sys/fs/cgroup";
};

/// Reads memory.pressure of the process's own cgroup (v2) or /proc/pressure/memory, else
/// MemAvailable of /proc/meminfo. What cannot be read is absent. Reads at most three small files;
/// any thread.
[[nodiscard]] MemorySigns read_memory_signs(const MemorySources& from = {});

/// avg10 of the line `some` (Documentation/accounting/psi.rst); none when there is no such line.
[[nodiscard]] std::optional<double> parse_pressure(std::string_view text);
/// MemAvailable of proc(5), meminfo.
[[nodiscard]] std::optional<Bytes> parse_available(std::string_view text);

}  // namespace holdfast::os
