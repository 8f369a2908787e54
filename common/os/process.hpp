#pragma once
/// \file
/// Child processes: argv only, never a shell; close-on-exec for everything not passed; always
/// reaped.

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::os {

struct Exited {
  int code;
  bool operator==(const Exited&) const = default;
};
struct Signalled {
  int signo;
  bool operator==(const Signalled&) const = default;
};
using ExitStatus = std::variant<Exited, Signalled>;

[[nodiscard]] inline bool succeeded(const ExitStatus& status) {
  const auto* exited = std::get_if<Exited>(&status);
  return exited != nullptr && exited->code == 0;
}
/// "exit code 1", "killed by signal 9".
[[nodiscard]] std::string describe(const ExitStatus& status);

struct SpawnOptions {
  std::vector<std::string> argv;  ///< argv[0] is the program, absolute or looked up in PATH
  std::vector<std::string> env;   ///< the whole environment, "NAME=value"; nothing is inherited
  std::vector<std::pair<int, int>>
      fds;                   ///< {ours, number in the child}; everything else from 3 up is closed
  std::string directory;     ///< working directory; empty: unchanged
  bool new_session = false;  ///< setsid, so that a group kill reaches descendants only
};

/// A running child. Destruction kills (SIGKILL to it, and to its group with `new_session`) and
/// reaps.
class Process {
 public:
  [[nodiscard]] static Result<Process> spawn(const SpawnOptions& options);
  Process(Process&&) noexcept;
  Process& operator=(Process&&) = delete;
  ~Process();

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  /// Readable when the child has ended.
  [[nodiscard]] int pidfd() const noexcept { return pidfd_.get(); }
  void kill(int signo) const noexcept;
  /// Blocks until the end, `deadline` or `stop`. Errors: timed_out, cancelled (the child still
  /// runs).
  [[nodiscard]] Result<ExitStatus> wait(std::optional<BootTime> deadline,
                                        const std::stop_token& stop);

 private:
  Process(pid_t pid, UniqueFd pidfd, bool group)
      : pid_(pid), pidfd_(std::move(pidfd)), group_(group) {}
  pid_t pid_;
  UniqueFd pidfd_;
  bool group_;
};

struct RunOptions {
  SpawnOptions spawn;
  std::string input;  ///< written to the child's stdin, then closed
  Milliseconds timeout{30'000};
  std::size_t output_limit = 1U << 20;  ///< bytes kept of each stream; the rest is read and dropped
};

struct RunResult {
  ExitStatus status;
  std::string out;
  std::string err;
};

/// Runs a child to its end and collects its output. On timeout or stop its whole session is
/// killed. Errors: not_found (no such program), timed_out, cancelled, io.
[[nodiscard]] Result<RunResult> run(const RunOptions& options, const std::stop_token& stop = {});

/// PATH for children, as the daemon passes it.
inline constexpr const char* kChildPath =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A socket-like pair or pipe, both ends close-on-exec.
[[nodiscard]] Result<std::pair<UniqueFd, UniqueFd>> make_pipe();

/// pidfd_open(2). Errors: not_found when the process is gone.
[[nodiscard]] Result<UniqueFd> open_pidfd(pid_t pid);
/// Field 22 of /proc/PID/stat, in clock ticks since boot: with the pid it names one process for
/// ever.
[[nodiscard]] Result<std::uint64_t> process_start_ticks(pid_t pid);

/// Sleeps until `deadline` or stop; true when the deadline was reached. The only sleep in the
/// house.
bool sleep_until(BootTime deadline, const std::stop_token& stop);

/// Names the calling thread, ≤ 15 characters.
void name_this_thread(const char* name);

}  // namespace holdfast::os
