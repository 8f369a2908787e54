#include "agent/cli/client/exec_client.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <optional>
#include <string>

#include "agent/cli/client/terminal.hpp"
#include "common/os/unique_fd.hpp"
#include "proto/api/codec.hpp"
#include "proto/api/exec_frames.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;
using api::ExecFrame;

constexpr std::size_t kPiece = 32U << 10;
/// What a pipe or a terminal takes without waiting once it is writable.
constexpr std::size_t kWriteAtOnce = 4'096;

bool would_wait() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

/// The signals that it hears of, as a descriptor, for the rest of the program's life.
Result<os::UniqueFd> hear_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signo : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGCONT})
    sigaddset(&signals, signo);
  if (pthread_sigmask(SIG_BLOCK, &signals, nullptr) != 0)
    return errno_error(errno, "block signals");
  std::signal(SIGPIPE, SIG_IGN);
  os::UniqueFd fd{::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK)};
  if (!fd) return errno_error(errno, "wait for signals");
  return fd;
}

class ExecClient {
 public:
  ExecClient(Connection connection, const ExecStreams& streams, os::UniqueFd signals)
      : socket_(std::move(connection.socket)),
        signals_(std::move(signals)),
        has_terminal_(streams.terminal == ExecTerminal::standard),
        reads_input_(streams.input == ExecInput::standard) {
    if (has_terminal_ && reads_input_) raw_.emplace();  // else Ctrl-C would reach nobody
    reader_.feed(connection.first);
  }

  Result<api::ExecEnd> run() {
    for (;;) {
      HF_TRY(take_frames());
      if (end_ && out_.empty() && err_.empty()) return *end_;
      HF_TRY(step());
    }
  }

 private:
  [[nodiscard]] bool shows() const { return !out_.empty() || !err_.empty(); }

  Status step() {
    const bool ended = end_.has_value();
    const bool reads_socket = !ended && !shows();
    const bool reads_input = !ended && reads_input_ && to_agent_.empty();
    std::array<pollfd, 5> fds{
        // Without events it would say for ever that the agent has closed it.
        {{ended || (!reads_socket && to_agent_.empty()) ? -1 : socket_.get(),
          static_cast<short>((reads_socket ? POLLIN : 0) | (to_agent_.empty() ? 0 : POLLOUT)), 0},
         {signals_.get(), POLLIN, 0},
         {reads_input ? STDIN_FILENO : -1, POLLIN, 0},
         {out_.empty() ? -1 : STDOUT_FILENO, POLLOUT, 0},
         {err_.empty() ? -1 : STDERR_FILENO, POLLOUT, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR)
      return errno_error(errno, "wait for the session");
    if (fds[1].revents != 0) HF_TRY(hear());
    if (fds[3].revents != 0) HF_TRY(show(STDOUT_FILENO, out_));
    if (fds[4].revents != 0) HF_TRY(show(STDERR_FILENO, err_));
    if (fds[2].revents != 0) read_input();
    if ((fds[0].revents & POLLOUT) != 0) send_pending();
    if (reads_socket && (fds[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) HF_TRY(read_socket());
    return ok();
  }

  Status hear() {
    signalfd_siginfo heard{};
    while (::read(signals_.get(), &heard, sizeof heard) == sizeof heard) {
      if (heard.ssi_signo == SIGCONT && raw_) raw_->renew();
      if (heard.ssi_signo == SIGWINCH || heard.ssi_signo == SIGCONT) {
        if (const auto size = terminal_size(); size && has_terminal_)
          to_agent_ += api::exec_resize(*size);
        continue;
      }
      return Error{Errc::cancelled, "interrupted: the command is ended"};
    }
    return ok();
  }

  static Status show(int fd, std::string& text) {
    const auto wrote = ::write(fd, text.data(), std::min(text.size(), kWriteAtOnce));
    if (wrote >= 0) {
      text.erase(0, static_cast<std::size_t>(wrote));
      return ok();
    }
    if (would_wait()) return ok();
    return errno_error(
        errno, fd == STDOUT_FILENO ? "write to standard output" : "write to standard error");
  }

  void read_input() {
    std::array<char, kPiece> piece;
    const auto got = ::read(STDIN_FILENO, piece.data(), piece.size());
    if (got < 0 && would_wait()) return;
    if (got > 0) {
      to_agent_ += api::exec_frame(ExecFrame::input, {piece.data(), static_cast<std::size_t>(got)});
      return;
    }
    to_agent_ += api::exec_frame(ExecFrame::input_end);
    reads_input_ = false;
  }

  /// That the agent is gone is seen when it is read from.
  void send_pending() {
    const auto sent = ::send(socket_.get(), to_agent_.data(), to_agent_.size(), MSG_NOSIGNAL);
    if (sent > 0) to_agent_.erase(0, static_cast<std::size_t>(sent));
    if (sent < 0 && !would_wait()) {
      to_agent_.clear();
      reads_input_ = false;
    }
  }

  Status read_socket() {
    std::array<char, kPiece> piece;
    const auto got = ::recv(socket_.get(), piece.data(), piece.size(), 0);
    if (got > 0) reader_.feed({piece.data(), static_cast<std::size_t>(got)});
    if (got > 0 || (got < 0 && would_wait())) return ok();
    return Error{Errc::unreachable,
                 "the agent closed the connection: how the command ended is not known"}
        .hint("nothing of the session goes on: \"holdfast ledger export\" says how far it came");
  }

  /// As long as what came before is shown.
  Status take_frames() {
    while (!shows() && !end_) {
      auto frame = reader_.next();
      if (!frame) break;
      if (frame->kind == ExecFrame::output) out_ = std::move(frame->bytes);
      if (frame->kind == ExecFrame::error_output) err_ = std::move(frame->bytes);
      if (frame->kind == ExecFrame::input_closed) reads_input_ = false;
      if (frame->kind != ExecFrame::ended) continue;
      auto end = api::decode<api::ExecEnd>(frame->bytes);
      if (!end) return not_understood();
      end_ = std::move(*end);
    }
    return reader_.failed() ? not_understood() : ok();
  }

  static Status not_understood() {
    return Error{Errc::internal, "what the agent sends is no session"}.hint(
        "check that client and agent have the same version: holdfast version");
  }

  os::UniqueFd socket_;
  os::UniqueFd signals_;
  bool has_terminal_;
  bool reads_input_;
  std::optional<RawTerminal> raw_;
  api::ExecFrameReader reader_{api::ExecSender::agent};
  std::string to_agent_;
  std::string out_;
  std::string err_;
  std::optional<api::ExecEnd> end_;
};

}  // namespace

Result<api::ExecEnd> carry_exec(Connection connection, const ExecStreams& streams) {
  HF_ASSIGN(auto signals, hear_signals());
  return ExecClient{std::move(connection), streams, std::move(signals)}.run();
}

}  // namespace holdfast::agent::cli
