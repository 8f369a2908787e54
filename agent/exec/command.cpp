#include "agent/exec/command.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "common/base/text.hpp"
#include "common/os/file.hpp"

namespace holdfast::agent::exec {
namespace {

constexpr Milliseconds kStartsWithin{60'000};

Result<os::UniqueFd> listen_on(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto& text = path.native();
  if (text.size() >= sizeof address.sun_path)
    return Error{Errc::internal, "the path of the console socket is too long"};
  std::memcpy(address.sun_path, text.data(), text.size());
  os::UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd.get(), 1) != 0)
    return errno_error(errno, "listen for the terminal");
  return fd;
}

/// The one descriptor in the one message that the runtime has sent.
Result<os::UniqueFd> receive_terminal(const os::UniqueFd& listener) {
  const os::UniqueFd peer{::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
  if (!peer) return errno_error(errno, "get the terminal");
  std::array<char, 4096> name;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> room{};
  iovec part{name.data(), name.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = room.data();
  message.msg_controllen = room.size();
  if (::recvmsg(peer.get(), &message, MSG_CMSG_CLOEXEC) < 0)
    return errno_error(errno, "get the terminal");
  const auto* head = CMSG_FIRSTHDR(&message);
  if (head == nullptr || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS ||
      head->cmsg_len != CMSG_LEN(sizeof(int)))
    return Error{Errc::runtime, "the runtime sent no terminal"};
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(head), sizeof fd);
  return os::UniqueFd{fd};
}

/// The ends that the command gets, and those that stay here.
struct Pipes {
  os::UniqueFd input;
  os::UniqueFd output;
  os::UniqueFd errors;
  CommandEnds ours;
};

Result<Pipes> make_pipes(const CommandSpec& spec) {
  Pipes made;
  HF_ASSIGN(made.input, os::open_file("/dev/null", O_RDWR));
  if (!spec.console.empty()) return made;
  HF_ASSIGN(auto out, os::make_pipe());
  HF_ASSIGN(auto err, os::make_pipe());
  made.output = std::move(out.second);
  made.errors = std::move(err.second);
  made.ours.output = std::move(out.first);
  made.ours.errors = std::move(err.first);
  if (!spec.input) return made;
  HF_ASSIGN(auto in, os::make_pipe());
  made.input = std::move(in.first);
  made.ours.input = std::move(in.second);
  return made;
}

Status wait_for_runtime(os::Process& runtime, int control) {
  const SystemClock clock;
  const auto deadline = clock.boot() + kStartsWithin;
  for (;;) {
    const auto left = std::chrono::ceil<Milliseconds>(deadline - clock.boot()).count();
    if (left <= 0) return Error{Errc::timed_out, "the runtime does not start the command"};
    std::array<pollfd, 2> fds{{{runtime.pidfd(), POLLIN, 0}, {control, POLLIN, 0}}};
    (void)::poll(fds.data(), fds.size(), static_cast<int>(left));
    if (fds[1].revents != 0) return Error{Errc::cancelled, "start the command"};
    if (fds[0].revents == 0) continue;
    HF_ASSIGN(const auto status, runtime.wait(std::nullopt, {}));
    if (os::succeeded(status)) return ok();
    return Error{Errc::runtime, os::describe(status)};
  }
}

Status set_up_terminal(const CommandSpec& spec, os::UniqueFd terminal, CommandEnds& ends) {
  winsize wanted{};
  wanted.ws_row = spec.size.rows;
  wanted.ws_col = spec.size.columns;
  if (wanted.ws_row != 0) (void)::ioctl(terminal.get(), TIOCSWINSZ, &wanted);
  if (spec.input) {
    ends.input = os::UniqueFd{::fcntl(terminal.get(), F_DUPFD_CLOEXEC, 3)};
    if (!ends.input) return errno_error(errno, "duplicate the terminal");
  }
  ends.output = std::move(terminal);
  return ok();
}

}  // namespace

Result<Started> start_command(const CommandSpec& spec, int control) {
  HF_ASSIGN(auto pipes, make_pipes(spec));
  os::UniqueFd listener;
  if (!spec.console.empty()) {
    HF_ASSIGN(listener, listen_on(spec.console));
  }
  const int null = pipes.input.get();
  HF_ASSIGN(auto runtime,
            os::Process::spawn({.argv = spec.runtime,
                                .env = {os::kChildPath},
                                .fds = {{null, 0},
                                        {pipes.output ? pipes.output.get() : null, 1},
                                        {pipes.errors ? pipes.errors.get() : null, 2}},
                                .directory = "/",
                                .new_session = true}));
  pipes.input.reset();
  pipes.output.reset();
  pipes.errors.reset();
  HF_TRY(wait_for_runtime(runtime, control));
  HF_ASSIGN(const auto text, os::read_regular_file(spec.pid_file, 64));
  HF_ASSIGN(const auto pid, parse_number(trim(text)));
  Started started{.pidfd = {}, .pid = static_cast<pid_t>(pid), .ends = std::move(pipes.ours)};
  HF_ASSIGN(started.pidfd, os::open_pidfd(started.pid));
  if (listener) {
    HF_ASSIGN(auto terminal, receive_terminal(listener));
    HF_TRY(set_up_terminal(spec, std::move(terminal), started.ends));
  }
  return started;
}

std::uint8_t exit_code_of(const Started& command, Milliseconds within) {
  constexpr int kSignalled = 128;
  int status = 0;
  pollfd ended{command.pidfd.get(), POLLIN, 0};
  (void)::poll(&ended, 1, static_cast<int>(within.count()));
  const bool known = ::waitpid(command.pid, &status, WNOHANG) == command.pid;
  const int code = !known                ? kSignalled + SIGKILL
                   : WIFSIGNALED(status) ? kSignalled + WTERMSIG(status)
                                         : WEXITSTATUS(status);
  return static_cast<std::uint8_t>(code);
}

}  // namespace holdfast::agent::exec
