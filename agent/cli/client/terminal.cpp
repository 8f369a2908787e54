#include "agent/cli/client/terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

namespace holdfast::agent::cli {

std::optional<proto::api::TerminalSize> terminal_size() {
  for (const int fd : {STDOUT_FILENO, STDIN_FILENO, STDERR_FILENO}) {
    winsize size{};
    if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_row != 0)
      return proto::api::TerminalSize{size.ws_row, size.ws_col};
  }
  return std::nullopt;
}

bool input_is_terminal() { return ::isatty(STDIN_FILENO) == 1; }

RawTerminal::RawTerminal() {
  termios now{};
  if (!input_is_terminal() || ::tcgetattr(STDIN_FILENO, &now) != 0) return;
  before_ = now;
  renew();
}

RawTerminal::~RawTerminal() {
  if (before_) (void)::tcsetattr(STDIN_FILENO, TCSADRAIN, &*before_);
}

void RawTerminal::renew() const {
  if (!before_) return;
  auto raw = *before_;
  ::cfmakeraw(&raw);
  (void)::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

}  // namespace holdfast::agent::cli
