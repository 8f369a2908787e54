#pragma once
/// \file
/// Control groups on v1, hybrid and unified hosts: freezing, reading limits back, clean removal.
/// Files are written directly: a freeze takes 0.1 ms so, 20 ms through the runtime.

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"
#include "deploy/runtime/host/cgroup_usage.hpp"
#include "deploy/runtime/record/record.hpp"

namespace holdfast::deploy::runtime {

/// The hierarchies of this host. Immutable, thread safe. Paths of groups are like
/// "/holdfast-main/web-…".
class Cgroups {
 public:
  /// From mountinfo. Errors: runtime when neither the freezer nor a unified hierarchy is mounted.
  [[nodiscard]] static Result<Cgroups> detect();
  /// For tests of the detection.
  [[nodiscard]] static Result<Cgroups> from_mountinfo(std::string_view text);

  /// True with v2 only: no v1 controller is mounted.
  [[nodiscard]] bool unified() const { return !unified_.empty() && v1_.empty(); }

  /// Safe to repeat; returns when every task stands still. Errors: not_found (no such group),
  /// timed_out (100 ms), cancelled once `spare` is requested; then it may be half frozen.
  [[nodiscard]] Status freeze(const std::string& group, const std::stop_token& spare) const;
  /// Safe to repeat. Errors: not_found.
  [[nodiscard]] Status thaw(const std::string& group) const;
  /// False also where the group does not exist.
  [[nodiscard]] bool frozen(const std::string& group) const;

  /// What the kernel enforces instead of `wanted`: "memory is 64 MiB, not 256 MiB". Three to five
  /// small reads.
  [[nodiscard]] std::vector<std::string> deviations(const std::string& group,
                                                    const Limits& wanted) const;
  /// Writes `wanted` into the group. Less than a millisecond. Errors: not_found, io.
  [[nodiscard]] Status enforce(const std::string& group, const Limits& wanted) const;
  /// The directories in which limits and freezer of a group lie, for watching.
  [[nodiscard]] std::vector<std::filesystem::path> watched(const std::string& group) const;
  /// A descriptor that becomes readable when the kernel is out of memory for the group; none on
  /// unified hosts, where memory.events tells it.
  [[nodiscard]] os::UniqueFd watch_oom(const std::string& group) const;
  /// Processes ended in it by the out-of-memory killer.
  [[nodiscard]] std::uint64_t oom_kills(const std::string& group) const;

  /// What it has used and uses; none where the group does not exist. Eight to eleven small reads,
  /// some 0.1 ms: not for the engine's thread.
  [[nodiscard]] std::optional<GroupUsage> usage(const std::string& group) const;

  /// Moves a process into `group` of every hierarchy, creating it.
  [[nodiscard]] Status adopt(const std::string& group, pid_t pid) const;
  /// SIGKILL to every process in it. A missing group is success.
  [[nodiscard]] Status kill_all(const std::string& group) const;
  [[nodiscard]] std::vector<pid_t> processes(const std::string& group) const;
  /// The file that lists them; empty where there is no freezer.
  [[nodiscard]] std::filesystem::path list_of_processes(const std::string& group) const;
  /// Removes the group and groups below it in every hierarchy. What is missing or still busy is
  /// passed over; returns whether all of it is gone.
  [[nodiscard]] bool remove(const std::string& group) const;
  /// Removes the group where it has neither processes nor groups below it.
  [[nodiscard]] bool remove_empty(const std::string& group) const;

 private:
  using Path = std::filesystem::path;
  [[nodiscard]] std::optional<Path> controller(const std::string& name,
                                               const std::string& group) const;
  [[nodiscard]] std::optional<Path> freezer_file(const std::string& group) const;
  void add_cpu(const std::string& group, GroupUsage& usage) const;
  void add_memory(const std::string& group, GroupUsage& usage) const;
  void add_waiting(const std::string& group, GroupUsage& usage) const;
  [[nodiscard]] std::vector<Path> everywhere(const std::string& group) const;
  [[nodiscard]] std::optional<std::string> read(const std::string& controller_name,
                                                const std::string& group, const char* v1_file,
                                                const char* v2_file) const;

  std::map<std::string, Path> v1_;  ///< controller → mount point
  Path unified_;                    ///< empty: none
  std::vector<Path> roots_;         ///< each hierarchy once
};

}  // namespace holdfast::deploy::runtime
