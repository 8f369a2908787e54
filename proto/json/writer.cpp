#include "proto/json/writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "common/base/text.hpp"

namespace holdfast::proto::json {
namespace {

/// `\uXXXX`, or two of them: RFC 8259 7 has no other way to write what lies above U+FFFF.
void append_code_point(std::string& out, std::string_view hex) {
  std::uint32_t code = 0;
  std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
  if (code < 0x10000) {
    out += fmt::format("\\u{:04x}", code);
  } else {
    const auto offset = code - 0x10000;
    out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (offset >> 10), 0xDC00 + (offset & 0x3FF));
  }
}

/// One well-formed character that is neither plain ASCII nor has an escape of its own; `printable`
/// knows which ones are hostile and writes them \xNN or \u{N…}. Returns how many bytes it took.
std::size_t append_other(std::string& out, std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  const auto character = text.substr(0, length);
  const auto shown = printable(character);
  if (character == "\xEF\xBF\xBD") {
    out += "\\ufffd";
  } else if (shown == character) {
    out += character;
  } else if (shown.starts_with("\\u{")) {
    append_code_point(out, std::string_view{shown}.substr(3, shown.size() - 4));
  } else {  // C0, DEL, and C1 in two bytes
    out += fmt::format("\\u{:04x}", static_cast<unsigned char>(character.back()));
  }
  return length;
}

bool is_plain(char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; }

}  // namespace

std::string quote_safely(std::string_view raw) {
  const auto whole = well_formed(raw);
  std::string_view text{whole};
  std::string out = "\"";
  out.reserve(text.size() + 2);
  while (!text.empty()) {
    const auto plain = static_cast<std::size_t>(
        std::find_if_not(text.begin(), text.end(), is_plain) - text.begin());
    out += text.substr(0, plain);
    text.remove_prefix(plain);
    if (text.empty()) break;
    std::size_t taken = 1;
    if (text.front() == '"' || text.front() == '\\') {
      out.append("\\").append(text.substr(0, 1));
    } else if (text.front() == '\n') {
      out += "\\n";
    } else if (text.front() == '\t') {
      out += "\\t";
    } else {
      taken = append_other(out, text);
    }
    text.remove_prefix(taken);
  }
  return out + "\"";
}

Writer& Writer::begin(char bracket) {
  separate();
  out_ += bracket;
  empty_.push_back(true);
  return *this;
}

Writer& Writer::end(char bracket) {
  const bool was_empty = empty_.back();
  empty_.pop_back();
  if (!was_empty) line();
  out_ += bracket;
  return *this;
}

Writer& Writer::key(std::string_view name) {
  separate();
  out_ += quote_safely(name);
  out_ += layout_ == Layout::indented ? ": " : ":";
  after_key_ = true;
  return *this;
}

Writer& Writer::value(double number) {
  return std::isfinite(number) ? raw(fmt::format("{}", number)) : null();
}

Writer& Writer::raw(std::string_view json) {
  separate();
  out_ += json;
  return *this;
}

void Writer::separate() {
  if (std::exchange(after_key_, false) || empty_.empty()) return;
  if (!empty_.back()) out_ += ',';
  empty_.back() = false;
  line();
}

void Writer::line() {
  if (layout_ == Layout::indented) out_.append("\n").append(empty_.size() * 2, ' ');
}

}  // namespace holdfast::proto::json
