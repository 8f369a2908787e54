#pragma once
#include <termios.h>

#include <optional>

#include "proto/api/exec_frames.hpp"

namespace holdfast::agent::cli {

/// The size of the terminal that one of the standard descriptors is; none: there is none.
[[nodiscard]] std::optional<proto::api::TerminalSize> terminal_size();
/// Standard input is a terminal.
[[nodiscard]] bool input_is_terminal();

/// Hands every key on as it is pressed, Ctrl-C too; restores what was by destruction. Nothing where
/// standard input is no terminal.
class RawTerminal {
 public:
  RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  ~RawTerminal();

  /// Again, after somebody else has had the terminal (SIGCONT).
  void renew() const;

 private:
  std::optional<termios> before_;
};

}  // namespace holdfast::agent::cli
