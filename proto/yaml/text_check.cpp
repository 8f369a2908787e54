#include "proto/yaml/text_check.hpp"

#include <fmt/format.h>

#include <cstdint>

#include "common/base/text.hpp"
#include "proto/yaml/tree.hpp"

namespace holdfast::proto::yaml {
namespace {

/// Length of the UTF-8 sequence at `pos` and its value; 0 when it is not one (RFC 3629).
struct Decoded {
  std::size_t length;
  std::uint32_t value;
};

Decoded decode(std::string_view text, std::size_t pos) {
  const auto byte = [&](std::size_t i) -> std::uint32_t {
    return static_cast<unsigned char>(text[i]);
  };
  const auto lead = byte(pos);
  if (lead < 0x80) return {1, lead};
  const std::size_t length = lead >= 0xC2 && lead < 0xE0   ? 2
                             : lead >= 0xE0 && lead < 0xF0 ? 3
                             : lead >= 0xF0 && lead < 0xF5 ? 4
                                                           : 0;
  if (length == 0 || pos + length > text.size()) return {0, 0};
  std::uint32_t value = lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(pos + i) & 0xC0U) != 0x80) return {0, 0};
    value = (value << 6) | (byte(pos + i) & 0x3FU);
  }
  const bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (overlong || surrogate || value > 0x10FFFF) return {0, 0};
  return {length, value};
}

bool is_refused(std::uint32_t c) {
  const bool control = (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || (c >= 0x7F && c < 0xA0);
  const bool reorders = (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) ||
                        c == 0x061C || (c >= 0xE0000 && c <= 0xE007F);
  return control || reorders || c == 0x2028 || c == 0x2029 || c == 0xFEFF;
}

bool refuse_foreign_encoding(std::string_view text, Findings& findings) {
  if (text.starts_with("\xEF\xBB\xBF")) {
    findings.error({1, 1}, "the document starts with a byte order mark",
                   "save it as UTF-8 without BOM");
    return true;
  }
  const auto head = text.substr(0, 4);
  if (head.starts_with("\xFF\xFE") || head.starts_with("\xFE\xFF") ||
      head.find('\0') != std::string_view::npos) {
    findings.error({1, 1},
                   "the document is not UTF-8 text (it looks like UTF-16, UTF-32 or binary)",
                   "save it as UTF-8");
    return true;
  }
  return false;
}

/// What a line end is must be clear to every reader: to some a carriage return alone is one.
bool is_lone_return(std::string_view text, std::size_t pos) {
  return text[pos] == '\r' && (pos + 1 >= text.size() || text[pos + 1] != '\n');
}

/// Counts what would make the parser read far ahead.
class Punctuation {
 public:
  /// True: too much of it.
  [[nodiscard]] bool add(std::uint32_t c) {
    if (c == '\n') on_line_ = 0;
    if (c == '[' || c == '{') ++open_;
    if ((c == ']' || c == '}') && open_ > 0) --open_;
    if (c == '[' || c == '{' || c == ',' || c == ':') ++on_line_;
    return open_ > kMaxOpenBrackets || on_line_ > kMaxPunctuation;
  }
  [[nodiscard]] std::string fault() const {
    return open_ > kMaxOpenBrackets
               ? fmt::format("nested too deeply: more than {} brackets are open", kMaxOpenBrackets)
               : fmt::format("more than {} brackets, commas and colons on one line",
                             kMaxPunctuation);
  }

 private:
  std::size_t open_ = 0;
  std::size_t on_line_ = 0;
};

}  // namespace

bool check_text(std::string_view text, Findings& findings) {
  if (text.size() > kMaxBytes) {
    findings.error({1, 1}, fmt::format("the document of {} is beyond the limit of {}",
                                       human_bytes(text.size()), human_bytes(kMaxBytes)));
    return false;
  }
  if (refuse_foreign_encoding(text, findings)) return false;
  Mark mark;
  Punctuation punctuation;
  for (std::size_t pos = 0; pos < text.size();) {
    const auto [length, value] = decode(text, pos);
    if (length == 0) {
      findings.error(mark, "the text is not valid UTF-8 here", "save the document as UTF-8");
      return false;
    }
    if (is_refused(value)) {
      findings.error(mark, fmt::format("the character U+{:04X} is not allowed", value),
                     "in a double-quoted string, write it as an escape");
      return false;
    }
    if (is_lone_return(text, pos)) {
      findings.error(mark, "a carriage return without a line feed is not allowed",
                     "end lines with a line feed alone");
      return false;
    }
    if (punctuation.add(value)) {
      findings.error(mark, punctuation.fault(), "close them, or break the line");
      return false;
    }
    pos += length;
    mark = value == '\n' ? Mark{mark.line + 1, 1} : Mark{mark.line, mark.column + length};
  }
  return true;
}

}  // namespace holdfast::proto::yaml
