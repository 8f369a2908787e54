// holdfast-exec: one session of `holdfast exec`. It starts the command by the OCI runtime, carries
// bytes between it and the client, and sees to it that nothing of the session outlives it
// (README.md).
//
// usage: holdfast-exec MARK PROCS PID_FILE CONSOLE|- INPUT ROWS COLUMNS FAREWELL -- RUNTIME ARGS…
// 0: one byte ends the session, its end too · 1: gets a line, how it ended · 3: the client

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "agent/exec/command.hpp"
#include "agent/exec/relay.hpp"
#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "common/os/marked_processes.hpp"
#include "common/os/process.hpp"
#include "proto/api/exec_frames.hpp"
#include "proto/api/exec_report.hpp"

namespace {

using namespace holdfast;
using agent::exec::Relay;
using agent::exec::RelayEnd;
using proto::api::ExecStop;

constexpr int kControl = 0;
constexpr int kClient = 3;
constexpr int kFixedArguments = 9;
constexpr Milliseconds kEndsWithin{2'000};
constexpr Milliseconds kFlushTold{500};
constexpr std::size_t kMostChildren = 64U << 10;
constexpr int kMannersMs = 2'000;  ///< to end by itself when its client has gone

struct Session {
  std::string mark;
  std::string procs;
  std::string farewell;  ///< an ExecEnd, for a client whose agent has ended
  agent::exec::CommandSpec command;
};

std::uint16_t number_of(const char* text) {
  const auto number = parse_number(text);
  return number ? static_cast<std::uint16_t>(*number) : std::uint16_t{0};
}

Session session_of(char** argv, int argc) {
  Session session{.mark = argv[1], .procs = argv[2], .farewell = argv[8], .command = {}};
  auto& command = session.command;
  command.pid_file = argv[3];
  if (std::string_view{argv[4]} != "-") command.console = argv[4];
  command.input = std::string_view{argv[5]} == "1";
  command.size = {number_of(argv[6]), number_of(argv[7])};
  for (int i = kFixedArguments + 1; i < argc; ++i) command.runtime.emplace_back(argv[i]);
  return session;
}

ExecStop stop_of(RelayEnd end) {
  switch (end) {
    case RelayEnd::command_ended:
      return ExecStop::exited;
    case RelayEnd::client_gone:
      return ExecStop::client_gone;
    case RelayEnd::bad_frame:
      return ExecStop::bad_frame;
    case RelayEnd::idle:
      return ExecStop::idle;
    case RelayEnd::told:
    case RelayEnd::agent_gone:
      break;
  }
  return ExecStop::told;
}

/// Short enough to go into a pipe as a whole.
void tell(const proto::api::ExecReport& report) {
  const auto line = proto::api::exec_report_line(report);
  (void)!::write(STDOUT_FILENO, line.data(), line.size());
}

/// All that is known to be of the session: the command, whatever it made of its environment, its
/// session of processes, and what is marked.
void end_all(const Session& session, const agent::exec::Started* started) {
  if (started != nullptr)
    (void)::syscall(SYS_pidfd_send_signal, started->pidfd.get(), SIGKILL, nullptr, 0);
  (void)os::end_marked(session.procs, {session.mark, started != nullptr ? started->pid : 0},
                       kEndsWithin);
}

/// A runtime that was stopped half way leaves processes that are not marked yet; they are children
/// here.
void end_children() {
  const SystemClock clock;
  const auto until = clock.boot() + kEndsWithin;
  const auto children = fmt::format("/proc/self/task/{}/children", ::getpid());
  while (clock.boot() < until) {
    pid_t ended = 0;
    while ((ended = ::waitpid(-1, nullptr, WNOHANG)) > 0) {
    }
    if (ended < 0) return;  // there is none
    if (const auto text = os::read_file(children, kMostChildren))
      for (const auto word : split(trim(*text), ' '))
        if (const auto pid = parse_number(word)) ::kill(static_cast<pid_t>(*pid), SIGKILL);
    (void)os::sleep_until(clock.boot() + Milliseconds{2}, {});
  }
}

/// As a terminal that is closed, or a supervisor: it may clean up behind itself.
void ask_to_end(const Session& session, const agent::exec::Started& started, Relay& relay) {
  relay.hang_up();
  if (session.command.console.empty())
    (void)::syscall(SYS_pidfd_send_signal, started.pidfd.get(), SIGTERM, nullptr, 0);
  pollfd ended{started.pidfd.get(), POLLIN, 0};
  (void)::poll(&ended, 1, kMannersMs);
}

int run(const Session& session) {
  auto started = agent::exec::start_command(session.command, kControl);
  if (!started) {
    end_children();
    end_all(session, nullptr);
    const auto why = started.error().code();
    tell(why == Errc::cancelled ? proto::api::ExecReport{.stop = ExecStop::told}
                                : proto::api::ExecReport{.stop = ExecStop::not_started,
                                                         .error = std::string{code(why)}});
    return EXIT_SUCCESS;
  }
  Relay relay{{.client = kClient,
               .control = kControl,
               .command = started->pidfd.get(),
               .ends = std::move(started->ends),
               .terminal = !session.command.console.empty()}};
  const auto end = relay.run();
  if (end != RelayEnd::command_ended && end != RelayEnd::told) ask_to_end(session, *started, relay);
  end_all(session, &*started);
  const auto code = agent::exec::exit_code_of(*started, kEndsWithin);
  if (end == RelayEnd::agent_gone) {
    (void)relay.send(proto::api::exec_frame(proto::api::ExecFrame::ended, session.farewell));
    return EXIT_SUCCESS;
  }
  // Who is told to end does not wait for who reads slowly; else as long as while it ran.
  const bool taken = end == RelayEnd::client_gone ||
                     relay.drain(end == RelayEnd::told ? kFlushTold : relay.limits().idle);
  tell({.stop = taken ? stop_of(end) : ExecStop::slow_client, .code = code});
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc <= kFixedArguments + 1 || std::string_view{argv[kFixedArguments]} != "--") {
    std::fputs("usage: holdfast-exec … (started by holdfastd)\n", stderr);
    return EXIT_FAILURE;
  }
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGTERM, SIG_IGN);  // the end of the agent is seen by its pipe
  ::fcntl(kClient, F_SETFD, FD_CLOEXEC);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  return run(session_of(argv, argc));
}
