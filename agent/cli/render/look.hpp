#pragma once
/// \file
/// How text looks on one stream: colour, marks, widths. Meaning is never in colour alone.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::agent::cli {

/// What a stream can show. The default is what a pipe gets.
struct Look {
  bool terminal = false;
  bool colour = false;
  bool utf8 = true;        ///< marks like ✓ and …; else words and dots
  std::size_t width = 80;  ///< columns of the terminal
};

enum class Colours : std::uint8_t { automatic, never };

/// Asks the terminal behind `fd` and the environment: colour only on a terminal, with NO_COLOR
/// unset or empty and TERM not "dumb"; CLICOLOR_FORCE=1 overrides all but `never`. UTF-8 by LC_ALL,
/// LC_CTYPE, LANG.
[[nodiscard]] Look look_of(int fd, Colours choice);

enum class Tone : std::uint8_t { plain, good, waiting, act, dim, bold };
[[nodiscard]] std::string paint(std::string_view text, Tone tone, const Look& look);

enum class Mark : std::uint8_t { good, warn, bad, busy };
/// "✓", "!", "✗", "·" in their colours; "ok", "warn", "fail", "..." without UTF-8.
[[nodiscard]] std::string mark(Mark kind, const Look& look);

/// Columns that valid UTF-8 takes on a terminal: wide characters two, combining ones none.
[[nodiscard]] std::size_t display_width(std::string_view text);
/// `text` in at most `width` columns, cut with an ellipsis.
[[nodiscard]] std::string cut(std::string_view text, std::size_t width, const Look& look);

/// Text of several lines from outside: each line through `printable`, the line ends kept, `indent`
/// before each but the first.
[[nodiscard]] std::string printable_lines(std::string_view text, std::string_view indent = "");

/// "sha256:<64 hex>" → its first 12 hex digits, anywhere in the text ("@sha256:…" stays marked by
/// the @).
[[nodiscard]] std::string shorten_digests(std::string_view text);
/// First 12 digits of a digest with or without its algorithm; "-" for an empty one.
[[nodiscard]] std::string short_digest(std::string_view digest);

}  // namespace holdfast::agent::cli
