#include "agent/cli/render/look.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/text.hpp"
#include "common/os/environment.hpp"

namespace holdfast::agent::cli {
namespace {

bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const auto value = os::environment(name);
    if (!value || value->empty()) continue;
    return value->find("UTF-8") != std::string::npos || value->find("utf8") != std::string::npos ||
           value->find("UTF8") != std::string::npos || value->find("utf-8") != std::string::npos;
  }
  return false;
}

bool wants_colour(bool terminal, Colours choice) {
  if (choice == Colours::never) return false;
  if (const auto forced = os::environment("CLICOLOR_FORCE"); forced && *forced == "1") return true;
  const auto no_colour = os::environment("NO_COLOR");
  const auto term = os::environment("TERM");
  return terminal && (!no_colour || no_colour->empty()) && (!term || *term != "dumb");
}

struct Glyph {
  std::size_t bytes;
  std::size_t columns;
};

/// The character at `pos` of valid UTF-8; a stray byte counts as one column.
Glyph glyph_at(std::string_view text, std::size_t pos) {
  const auto lead = static_cast<unsigned char>(text[pos]);
  std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  length = std::min(length, text.size() - pos);
  char32_t point = length == 1 ? lead : lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i)
    point = (point << 6) | (static_cast<unsigned char>(text[pos + i]) & 0x3FU);
  // Combining marks, then the wide blocks of East Asian text and emoji (Unicode 15, UAX #11, by
  // block).
  if ((point >= 0x300 && point < 0x370) || (point >= 0xFE00 && point <= 0xFE0F)) return {length, 0};
  constexpr std::array<std::pair<char32_t, char32_t>, 7> kWide{{{0x1100, 0x115F},
                                                                {0x2E80, 0xA4CF},
                                                                {0xAC00, 0xD7A3},
                                                                {0xF900, 0xFAFF},
                                                                {0xFE30, 0xFE6F},
                                                                {0xFF00, 0xFF60},
                                                                {0x1F300, 0x3FFFD}}};
  const bool wide = std::any_of(kWide.begin(), kWide.end(), [point](const auto& block) {
    return point >= block.first && point <= block.second;
  });
  return {length, wide ? 2U : 1U};
}

std::string_view escape_of(Tone tone) {
  switch (tone) {
    case Tone::plain:
      return "";
    case Tone::good:
      return "\x1b[32m";
    case Tone::waiting:
      return "\x1b[33m";
    case Tone::act:
      return "\x1b[31m";
    case Tone::dim:
      return "\x1b[2m";
    case Tone::bold:
      return "\x1b[1m";
  }
  return "";
}

constexpr std::string_view kAlgorithm = "sha256:";
constexpr std::size_t kHexDigits = 64;
constexpr std::size_t kShortDigits = 12;

std::size_t hex_run(std::string_view text) {
  const auto end = text.find_first_not_of("0123456789abcdef");
  return end == std::string_view::npos ? text.size() : end;
}

}  // namespace

Look look_of(int fd, Colours choice) {
  Look look;
  look.terminal = ::isatty(fd) == 1;
  look.colour = wants_colour(look.terminal, choice);
  look.utf8 = locale_is_utf8();
  winsize size{};
  if (look.terminal && ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    look.width = std::max<std::size_t>(size.ws_col, 20);
  return look;
}

std::string paint(std::string_view text, Tone tone, const Look& look) {
  if (!look.colour || tone == Tone::plain || text.empty()) return std::string{text};
  return std::string{escape_of(tone)}.append(text).append("\x1b[0m");
}

std::string mark(Mark kind, const Look& look) {
  switch (kind) {
    case Mark::good:
      return paint(look.utf8 ? "✓" : "ok", Tone::good, look);
    case Mark::warn:
      return paint(look.utf8 ? "!" : "warn", Tone::waiting, look);
    case Mark::bad:
      return paint(look.utf8 ? "✗" : "fail", Tone::act, look);
    case Mark::busy:
      return paint(look.utf8 ? "·" : "...", Tone::dim, look);
  }
  return {};
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t pos = 0; pos < text.size();) {
    const auto glyph = glyph_at(text, pos);
    width += glyph.columns;
    pos += glyph.bytes;
  }
  return width;
}

std::string cut(std::string_view text, std::size_t width, const Look& look) {
  if (display_width(text) <= width) return std::string{text};
  const std::string_view ellipsis = look.utf8 ? "…" : "...";
  const std::size_t room = width - std::min(width, display_width(ellipsis));
  std::size_t used = 0;
  std::size_t pos = 0;
  while (pos < text.size()) {
    const auto glyph = glyph_at(text, pos);
    if (used + glyph.columns > room) break;
    used += glyph.columns;
    pos += glyph.bytes;
  }
  return std::string{text.substr(0, pos)}.append(
      ellipsis.substr(0, width >= 3 || look.utf8 ? ellipsis.size() : width));
}

std::string printable_lines(std::string_view text, std::string_view indent) {
  std::string out;
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  for (const auto line : split(text, '\n')) {
    if (!out.empty()) out.append("\n").append(indent);
    out.append(printable(line));
  }
  return out;
}

std::string shorten_digests(std::string_view text) {
  std::string out;
  for (std::size_t pos = 0; pos < text.size();) {
    const auto found = text.find(kAlgorithm, pos);
    if (found == std::string_view::npos) return out.append(text.substr(pos));
    out.append(text.substr(pos, found - pos));
    const auto hex = text.substr(found + kAlgorithm.size());
    pos = found + kAlgorithm.size();
    if (hex_run(hex) == kHexDigits) {
      out.append(hex.substr(0, kShortDigits));
      pos += kHexDigits;
    } else {
      out.append(kAlgorithm);
    }
  }
  return out;
}

std::string short_digest(std::string_view digest) {
  if (digest.empty()) return "-";
  if (digest.starts_with(kAlgorithm)) digest.remove_prefix(kAlgorithm.size());
  return printable(digest.substr(0, kShortDigits));
}

}  // namespace holdfast::agent::cli
