#include "common/os/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "common/base/text.hpp"
#include "common/os/file.hpp"

namespace holdfast::os {
namespace {

std::vector<char*> c_strings(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const auto& s : strings) out.push_back(const_cast<char*>(s.c_str()));
  out.push_back(nullptr);
  return out;
}

Result<std::string> resolve_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    if (access(name.c_str(), X_OK) == 0) return name;
    return errno_error(errno, "run " + name);
  }
  const std::string_view path = std::string_view{kChildPath}.substr(5);
  for (const auto dir : split(path, ':')) {
    auto candidate = fmt::format("{}/{}", dir, name);
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return Error{Errc::not_found, fmt::format("program {} is not installed", name)};
}

/// Between fork and exec: only async-signal-safe calls, no allocation.
struct ChildPlan {
  const char* program;
  char* const* argv;
  char* const* env;
  const std::pair<int, int>* fds;
  std::pair<int, int>* moved;
  std::size_t fd_count;
  const char* directory;
  bool new_session;
  int report_fd;
};

[[noreturn]] void child_fail(const ChildPlan& plan) {
  const int error = errno;
  [[maybe_unused]] const auto wrote = ::write(plan.report_fd, &error, sizeof error);
  _exit(127);
}

[[noreturn]] void run_child(const ChildPlan& plan) {
  if (plan.new_session) setsid();
  // Handlers first: until exec this is the parent's memory.
  for (int signo = 1; signo < 32; ++signo) signal(signo, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);

  int highest = 2;
  for (std::size_t i = 0; i < plan.fd_count; ++i) highest = std::max(highest, plan.fds[i].second);
  const int report = fcntl(plan.report_fd, F_DUPFD_CLOEXEC, highest + 1);
  if (report < 0) child_fail(plan);
  ChildPlan moved = plan;  // the original report_fd may be the number that a given descriptor gets
  moved.report_fd = report;
  for (std::size_t i = 0; i < plan.fd_count; ++i) {
    const int high = fcntl(plan.fds[i].first, F_DUPFD, highest + 1);
    if (high < 0) child_fail(moved);
    plan.moved[i] = {high, plan.fds[i].second};
  }
  for (std::size_t i = 0; i < plan.fd_count; ++i) {
    if (dup2(plan.moved[i].first, plan.moved[i].second) < 0) child_fail(moved);
  }
  // Everything the child was not given is closed on exec: CLOEXEC on all, then off again for what
  // was given.
  syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
  for (std::size_t i = 0; i < plan.fd_count; ++i) fcntl(plan.moved[i].second, F_SETFD, 0);
  if (plan.directory != nullptr && chdir(plan.directory) != 0) child_fail(moved);
  execve(plan.program, plan.argv, plan.env);
  child_fail(moved);
}

/// vfork(2): nothing of the parent's memory is copied, which for a daemon with many pages costs
/// more than all the rest; this thread waits until the child runs its program. No signal is taken
/// meanwhile.
[[gnu::noinline]] pid_t start_child(const ChildPlan& plan) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = vfork();
  if (pid == 0) run_child(plan);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return pid;
}

int poll_timeout(std::optional<BootTime> deadline) {
  if (!deadline) return -1;
  const auto left = std::chrono::ceil<Milliseconds>(*deadline - SystemClock{}.boot()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000));
}

/// An eventfd that becomes readable when a stop is requested.
class StopFd {
 public:
  explicit StopFd(const std::stop_token& token)
      : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), callback_(token, [fd = fd_.get()] {
          constexpr std::uint64_t kOne = 1;
          [[maybe_unused]] const auto wrote = ::write(fd, &kOne, sizeof kOne);
        }) {}
  [[nodiscard]] int get() const { return fd_.get(); }

 private:
  UniqueFd fd_;
  std::stop_callback<std::function<void()>> callback_;
};

void append_limited(std::string& to, const char* data, std::size_t size, std::size_t limit) {
  if (to.size() < limit) to.append(data, std::min(size, limit - to.size()));
}

/// write(2) to a pipe whose reader may be gone: EPIPE instead of a signal that ends the whole
/// program.
ssize_t write_without_sigpipe(int fd, std::string_view data) {
  sigset_t pipe_only, before;
  sigemptyset(&pipe_only);
  sigaddset(&pipe_only, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
  const ssize_t wrote = ::write(fd, data.data(), data.size());
  const int error = errno;
  if (wrote < 0 && error == EPIPE && sigismember(&before, SIGPIPE) == 0) {
    constexpr timespec kNow{};
    while (sigtimedwait(&pipe_only, nullptr, &kNow) < 0 && errno == EINTR) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return wrote;
}

}  // namespace

std::string describe(const ExitStatus& status) {
  if (const auto* exited = std::get_if<Exited>(&status))
    return fmt::format("exit code {}", exited->code);
  return fmt::format("killed by signal {}", std::get<Signalled>(status).signo);
}

Result<std::pair<UniqueFd, UniqueFd>> make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return errno_error(errno, "pipe");
  return std::pair{UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

Result<Process> Process::spawn(const SpawnOptions& options) {
  if (options.argv.empty()) return Error{Errc::internal, "spawn without a program"};
  HF_ASSIGN(const std::string program, resolve_program(options.argv.front()));
  HF_ASSIGN(auto report, make_pipe());
  const auto argv = c_strings(options.argv);
  const auto env = c_strings(options.env);
  std::vector<std::pair<int, int>> moved(options.fds.size());
  const ChildPlan plan{.program = program.c_str(),
                       .argv = argv.data(),
                       .env = env.data(),
                       .fds = options.fds.data(),
                       .moved = moved.data(),
                       .fd_count = options.fds.size(),
                       .directory = options.directory.empty() ? nullptr : options.directory.c_str(),
                       .new_session = options.new_session,
                       .report_fd = report.second.get()};
  const pid_t pid = start_child(plan);
  if (pid < 0) return errno_error(errno, "fork");
  report.second.reset();
  UniqueFd pidfd{static_cast<int>(syscall(SYS_pidfd_open, pid, 0))};
  int child_errno = 0;
  ssize_t got = 0;
  do {
    got = ::read(report.first.get(), &child_errno, sizeof child_errno);
  } while (got < 0 && errno == EINTR);
  if (got == sizeof child_errno) {
    waitpid(pid, nullptr, 0);
    return errno_error(child_errno, "run " + program);
  }
  return Process{pid, std::move(pidfd), options.new_session};
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)), group_(other.group_) {}

Process::~Process() {
  if (pid_ <= 0) return;
  kill(SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Process::kill(int signo) const noexcept {
  if (pid_ <= 0) return;
  if (group_) ::kill(-pid_, signo);
  ::kill(pid_, signo);
}

Result<ExitStatus> Process::wait(std::optional<BootTime> deadline, const std::stop_token& stop) {
  const StopFd stopped{stop};
  for (;;) {
    int status = 0;
    const pid_t got = waitpid(pid_, &status, WNOHANG);
    if (got == pid_) {
      pid_ = -1;
      if (WIFSIGNALED(status)) return ExitStatus{Signalled{WTERMSIG(status)}};
      return ExitStatus{Exited{WEXITSTATUS(status)}};
    }
    if (got < 0 && errno != EINTR) return errno_error(errno, "wait for child");
    if (stop.stop_requested()) return Error{Errc::cancelled, "wait for child"};
    if (deadline && SystemClock{}.boot() >= *deadline)
      return Error{Errc::timed_out, "wait for child"};
    std::array<pollfd, 2> fds{{{pidfd_.get(), POLLIN, 0}, {stopped.get(), POLLIN, 0}}};
    poll(fds.data(), fds.size(), poll_timeout(deadline));
  }
}

Result<RunResult> run(const RunOptions& options, const std::stop_token& stop) {
  HF_ASSIGN(auto in, make_pipe());
  HF_ASSIGN(auto out, make_pipe());
  HF_ASSIGN(auto err, make_pipe());
  SpawnOptions spawn = options.spawn;
  spawn.new_session = true;
  spawn.fds.emplace_back(in.first.get(), 0);
  spawn.fds.emplace_back(out.second.get(), 1);
  spawn.fds.emplace_back(err.second.get(), 2);
  HF_ASSIGN(auto child, Process::spawn(spawn));
  in.first.reset();
  out.second.reset();
  err.second.reset();
  fcntl(in.second.get(), F_SETFL, O_NONBLOCK);

  const BootTime deadline = SystemClock{}.boot() + options.timeout;
  const StopFd stopped{stop};
  RunResult result{Exited{0}, {}, {}};
  std::string_view input = options.input;
  if (input.empty()) in.second.reset();
  std::array<char, 16384> buffer;
  while (out.first || err.first) {
    if (stop.stop_requested()) return Error{Errc::cancelled, "run " + spawn.argv.front()};
    if (SystemClock{}.boot() >= deadline)
      return Error{Errc::timed_out, fmt::format("{} did not finish within {}", spawn.argv.front(),
                                                human_duration(options.timeout))};
    std::array<pollfd, 4> fds{{{out.first.get(), POLLIN, 0},
                               {err.first.get(), POLLIN, 0},
                               {in.second.get(), POLLOUT, 0},
                               {stopped.get(), POLLIN, 0}}};
    poll(fds.data(), fds.size(), poll_timeout(deadline));
    const auto drain = [&](UniqueFd& fd, short revents, std::string& to) {
      if (revents == 0) return;
      const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
      if (got > 0)
        append_limited(to, buffer.data(), static_cast<std::size_t>(got), options.output_limit);
      if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) fd.reset();
    };
    drain(out.first, fds[0].revents, result.out);
    drain(err.first, fds[1].revents, result.err);
    if (fds[2].revents != 0 && in.second) {
      const ssize_t wrote = write_without_sigpipe(in.second.get(), input);
      if (wrote > 0) input.remove_prefix(static_cast<std::size_t>(wrote));
      if (input.empty() || (wrote < 0 && errno != EAGAIN && errno != EINTR)) in.second.reset();
    }
  }
  auto status = child.wait(deadline, stop);
  if (!status) return std::move(status).error().in("run " + spawn.argv.front());
  result.status = *status;
  return result;
}

Result<UniqueFd> open_pidfd(pid_t pid) {
  UniqueFd fd{static_cast<int>(syscall(SYS_pidfd_open, pid, 0))};
  if (fd) return fd;
  if (errno == ESRCH) return Error{Errc::not_found, fmt::format("process {} is gone", pid)};
  return errno_error(errno, fmt::format("pidfd_open {}", pid));
}

Result<std::uint64_t> process_start_ticks(pid_t pid) {
  HF_ASSIGN(const std::string stat, read_file(fmt::format("/proc/{}/stat", pid), 4096));
  // The command name may hold spaces and parentheses: fields count from the last ')'.
  const auto close = stat.rfind(')');
  if (close == std::string::npos)
    return Error{Errc::io, fmt::format("/proc/{}/stat is malformed", pid)};
  const auto fields = split(trim(std::string_view{stat}.substr(close + 1)), ' ');
  constexpr std::size_t kStartTime = 22 - 3;
  if (fields.size() <= kStartTime)
    return Error{Errc::io, fmt::format("/proc/{}/stat is malformed", pid)};
  return parse_number(fields[kStartTime]);
}

bool sleep_until(BootTime deadline, const std::stop_token& stop) {
  const StopFd stopped{stop};
  while (!stop.stop_requested()) {
    if (SystemClock{}.boot() >= deadline) return true;
    pollfd fd{stopped.get(), POLLIN, 0};
    poll(&fd, 1, poll_timeout(deadline));
  }
  return false;
}

void name_this_thread(const char* name) { pthread_setname_np(pthread_self(), name); }

}  // namespace holdfast::os
