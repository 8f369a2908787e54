#include "agent/exec/relay.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace holdfast::agent::exec {
namespace {

using proto::api::ExecFrame;

constexpr std::size_t kPiece = 32U << 10;
constexpr int kLookMs = 500;

void set_non_blocking(const os::UniqueFd& fd) {
  if (fd) ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
}

bool would_wait() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

int wait_ms(BootTime until, BootTime now) {
  const auto left = std::chrono::ceil<Milliseconds>(until - now).count();
  return static_cast<int>(std::clamp<Milliseconds::rep>(left, 0, 60'000));
}

}  // namespace

Relay::Relay(Parts parts)
    : parts_(std::move(parts)), takes_input_(parts_.ends.input), moved_(clock_.boot()) {
  for (const auto* end : {&parts_.ends.input, &parts_.ends.output, &parts_.ends.errors})
    set_non_blocking(*end);
}

RelayEnd Relay::run() {
  for (;;)
    if (const auto end = step()) return *end;
}

std::optional<RelayEnd> Relay::step() {
  const auto& ends = parts_.ends;
  const short output = has_room() ? POLLIN : 0;
  const short from_client = input_.empty() ? POLLIN : 0;
  const short to_client = out_.empty() ? 0 : POLLOUT;
  std::array<pollfd, 6> fds{
      {{parts_.client, static_cast<short>(from_client | to_client | POLLRDHUP), 0},
       {parts_.control, POLLIN, 0},
       {parts_.command, POLLIN, 0},
       {output != 0 ? ends.output.get() : -1, POLLIN, 0},
       {output != 0 ? ends.errors.get() : -1, POLLIN, 0},
       {input_.empty() ? -1 : ends.input.get(), POLLOUT, 0}}};
  const auto idle = moved_ + parts_.limits.idle;
  if (::poll(fds.data(), fds.size(), wait_ms(idle, clock_.boot())) < 0 && errno != EINTR)
    return RelayEnd::told;
  if (fds[1].revents != 0) {
    char byte = 0;
    return ::read(parts_.control, &byte, 1) == 1 ? RelayEnd::told : RelayEnd::agent_gone;
  }
  if ((fds[0].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0) return RelayEnd::client_gone;
  if (fds[2].revents != 0) return RelayEnd::command_ended;
  if ((fds[0].revents & POLLOUT) != 0 && !write_client()) return RelayEnd::client_gone;
  if (fds[3].revents != 0) (void)read_output(parts_.ends.output, ExecFrame::output);
  if (fds[4].revents != 0) (void)read_output(parts_.ends.errors, ExecFrame::error_output);
  if (fds[5].revents != 0) write_input();
  if ((fds[0].revents & POLLIN) != 0)
    if (const auto end = read_client()) return end;
  if (clock_.boot() >= moved_ + parts_.limits.idle) return RelayEnd::idle;
  return std::nullopt;
}

std::optional<RelayEnd> Relay::read_client() {
  std::array<char, kPiece> piece;
  const auto got = ::recv(parts_.client, piece.data(), piece.size(), MSG_DONTWAIT);
  if (got == 0 || (got < 0 && !would_wait())) return RelayEnd::client_gone;
  if (got < 0) return std::nullopt;
  moved_ = clock_.boot();
  reader_.feed({piece.data(), static_cast<std::size_t>(got)});
  while (auto frame = reader_.next())
    if (const auto end = take(std::move(*frame))) return end;
  if (reader_.failed()) return RelayEnd::bad_frame;
  return std::nullopt;
}

std::optional<RelayEnd> Relay::take(proto::api::ExecFrameReader::Frame frame) {
  switch (frame.kind) {
    case ExecFrame::input:
      return take_input(std::move(frame.bytes));
    case ExecFrame::input_end:
      if (input_ended_ || !takes_input_) return RelayEnd::bad_frame;
      input_ended_ = true;
      write_input();
      return std::nullopt;
    case ExecFrame::resize:
      if (!parts_.terminal) return RelayEnd::bad_frame;
      {
        const auto size = proto::api::terminal_size_of(frame.bytes);
        winsize wanted{};
        wanted.ws_row = size.rows;
        wanted.ws_col = size.columns;
        (void)::ioctl(parts_.ends.output.get(), TIOCSWINSZ, &wanted);
      }
      return std::nullopt;
    default:
      return RelayEnd::bad_frame;
  }
}

std::optional<RelayEnd> Relay::take_input(std::string bytes) {
  if (input_ended_ || !takes_input_) return RelayEnd::bad_frame;
  if (!parts_.ends.input) {
    discarded_ += bytes.size();
    return discarded_ > parts_.limits.discarded ? std::optional{RelayEnd::bad_frame} : std::nullopt;
  }
  input_ += bytes;  // one piece of the socket holds what is added before it is written
  write_input();
  return std::nullopt;
}

void Relay::write_input() {
  while (parts_.ends.input && !input_.empty()) {
    const auto wrote = ::write(parts_.ends.input.get(), input_.data(), input_.size());
    if (wrote < 0 && would_wait()) return;
    if (wrote < 0) return close_input();
    moved_ = clock_.boot();
    input_.erase(0, static_cast<std::size_t>(wrote));
  }
  // A terminal has no end of input; who closes it hangs up.
  if (input_ended_ && !parts_.terminal) parts_.ends.input.reset();
}

void Relay::close_input() {
  parts_.ends.input.reset();
  std::string{}.swap(input_);
  out_ += proto::api::exec_frame(ExecFrame::input_closed);
}

/// False: nothing came.
bool Relay::read_output(os::UniqueFd& from, ExecFrame kind) {
  if (!from) return false;
  std::array<char, kPiece> piece;
  const auto got = ::read(from.get(), piece.data(), piece.size());
  if (got < 0 && would_wait()) return false;
  if (got <= 0) {  // EIO: nobody has the terminal open any more
    from.reset();
    return false;
  }
  moved_ = clock_.boot();
  out_ += proto::api::exec_frame(kind, {piece.data(), static_cast<std::size_t>(got)});
  return true;
}

/// False: the client is gone.
bool Relay::write_client() {
  while (!out_.empty()) {
    const auto sent = ::send(parts_.client, out_.data(), out_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && !would_wait()) return false;
    if (sent < 0) return true;
    moved_ = clock_.boot();
    out_.erase(0, static_cast<std::size_t>(sent));
  }
  return true;
}

bool Relay::flush(Milliseconds patience) {
  auto until = clock_.boot() + patience;
  for (;;) {
    const auto before = out_.size();
    if (!write_client()) return false;
    if (out_.empty()) return true;
    if (out_.size() != before) until = clock_.boot() + patience;
    if (clock_.boot() >= until) return false;
    // A socket is writable only once a quarter of its buffer is free, and takes bytes before.
    pollfd client{parts_.client, POLLOUT, 0};
    (void)::poll(&client, 1, std::min(wait_ms(until, clock_.boot()), kLookMs));
  }
}

bool Relay::drain(Milliseconds patience) {
  const auto until = clock_.boot() + parts_.limits.drain;
  auto& ends = parts_.ends;
  while (ends.output || ends.errors) {
    if (!has_room() && !flush(patience)) return false;
    const bool more = read_output(ends.output, ExecFrame::output);
    if (read_output(ends.errors, ExecFrame::error_output) || more) continue;
    // Whoever else has the pipes open was ended, or has left the session.
    if (clock_.boot() >= until) break;
    std::array<pollfd, 2> fds{{{ends.output.get(), POLLIN, 0}, {ends.errors.get(), POLLIN, 0}}};
    (void)::poll(fds.data(), fds.size(), wait_ms(until, clock_.boot()));
  }
  return flush(patience);
}

bool Relay::send(std::string_view frame) {
  out_ += frame;
  return flush(parts_.limits.flush);
}

}  // namespace holdfast::agent::exec
