#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace holdfast::deploy::runtime {

/// For how long some process waited for a resource, in seconds since the group was made (the lines
/// `some` of Documentation/accounting/psi.rst).
struct Waiting {
  double cpu = 0;
  double memory = 0;
  double io = 0;
};

/// What a control group and those below it have used since it was made, and use now. What the
/// kernel does not tell is 0.
struct GroupUsage {
  double cpu_seconds = 0;
  std::uint64_t cpu_periods = 0;  ///< in which a limit was enforced
  std::uint64_t cpu_throttled_periods = 0;
  double cpu_throttled_seconds = 0;
  double cpu_limit = 0;  ///< processors; 0: none
  std::uint64_t memory_bytes = 0;
  std::uint64_t working_set_bytes = 0;   ///< without files that the kernel can drop at once
  std::uint64_t memory_limit_bytes = 0;  ///< 0: none
  /// At every block device that they pass: twice below LVM or RAID. On cgroup v1 what is written
  /// back later is the kernel's, not theirs.
  std::uint64_t io_read_bytes = 0;
  std::uint64_t io_written_bytes = 0;
  std::uint64_t pids = 0;
  std::uint64_t pids_limit = 0;    ///< 0: none
  std::optional<Waiting> waiting;  ///< none where the kernel keeps no account (v1, psi=0)
};

struct IoBytes {
  std::uint64_t read = 0;
  std::uint64_t written = 0;
};
/// Of io.stat (v2) and of blkio.throttle.io_service_bytes (v1): the sums over all devices.
[[nodiscard]] IoBytes parse_io(std::string_view text);
/// Of a file like cpu.pressure; 0 without a line `some`.
[[nodiscard]] double parse_waited_seconds(std::string_view text);

}  // namespace holdfast::deploy::runtime
