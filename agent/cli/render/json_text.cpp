#include "agent/cli/render/json_text.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "common/base/text.hpp"

namespace json = boost::json;

namespace holdfast::agent::cli {
namespace {

enum class Layout { indented, one_line };

Result<json::value> parse(std::string_view text) {
  json::parse_options options;
  options.allow_invalid_utf8 = true;
  boost::system::error_code failed;
  auto value = json::parse(json::string_view{text.data(), text.size()}, failed, {}, options);
  if (failed)
    return Error{Errc::internal,
                 fmt::format("the agent's answer is not JSON: {}", failed.message())}
        .hint("check that client and agent have the same version: holdfast version");
  return value;
}

/// `printable` knows which characters are hostile and writes them \xNN or \u{N…}: turned into
/// JSON's own escapes here.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (std::size_t pos = 0; pos < text.size();) {
    const auto lead = static_cast<unsigned char>(text[pos]);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    const auto character = text.substr(pos, length);
    const auto shown = printable(character);
    if (character == "\"" || character == "\\") {
      out.append("\\").append(character);
      pos += 1;
    } else if (character == "\n") {
      out += "\\n";
      pos += 1;
    } else if (character == "\t") {
      out += "\\t";
      pos += 1;
    } else if (shown == character) {
      out += shown;
      pos += character.size();
    } else if (shown.starts_with("\\u{")) {
      out += fmt::format("\\u{:0>4}", shown.substr(3, shown.size() - 4));
      pos += length;
    } else if (lead < 0x80 || (lead == 0xC2 && character.size() == 2)) {
      const unsigned value = lead < 0x80 ? lead : static_cast<unsigned char>(text[pos + 1]);
      out += fmt::format("\\u{:04x}", value);
      pos += length;
    } else {
      out += "\\ufffd";
      pos += 1;
    }
  }
  return out + "\"";
}

class Writer {
 public:
  explicit Writer(Layout layout) : layout_(layout) {}

  void value(const json::value& value, std::size_t depth) {
    switch (value.kind()) {
      case json::kind::object:
        return object(value.get_object(), depth);
      case json::kind::array:
        return array(value.get_array(), depth);
      case json::kind::string:
        out_ += quoted(std::string_view{value.get_string().data(), value.get_string().size()});
        return;
      case json::kind::double_:
        out_ += fmt::format("{}", value.get_double());
        return;
      default:
        out_ += json::serialize(value);
    }
  }

  std::string take() { return std::move(out_) + "\n"; }

 private:
  void object(const json::object& members, std::size_t depth) {
    out_ += '{';
    bool first = true;
    for (const auto& [name, member] : members) {
      separate(first, depth + 1);
      first = false;
      out_ += quoted(std::string_view{name.data(), name.size()});
      out_ += layout_ == Layout::indented ? ": " : ":";
      value(member, depth + 1);
    }
    if (!first) line(depth);
    out_ += '}';
  }

  void array(const json::array& items, std::size_t depth) {
    out_ += '[';
    bool first = true;
    for (const auto& item : items) {
      separate(first, depth + 1);
      first = false;
      value(item, depth + 1);
    }
    if (!first) line(depth);
    out_ += ']';
  }

  void separate(bool first, std::size_t depth) {
    if (!first) out_ += ',';
    line(depth);
  }

  void line(std::size_t depth) {
    if (layout_ == Layout::indented) out_.append("\n").append(depth * 2, ' ');
  }

  Layout layout_;
  std::string out_;
};

Result<std::string> written(std::string_view text, Layout layout) {
  HF_ASSIGN(const auto value, parse(text));
  Writer writer{layout};
  writer.value(value, 0);
  return writer.take();
}

}  // namespace

Result<std::string> pretty_json(std::string_view text) { return written(text, Layout::indented); }
Result<std::string> json_line(std::string_view text) { return written(text, Layout::one_line); }

std::string json_quoted(std::string_view text) { return quoted(text); }

}  // namespace holdfast::agent::cli
