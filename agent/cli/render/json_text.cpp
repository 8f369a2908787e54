#include "agent/cli/render/json_text.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "proto/json/writer.hpp"

namespace json = boost::json;

namespace holdfast::agent::cli {
namespace {

using proto::json::Layout;
using proto::json::Writer;

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

void write(Writer& out, const json::value& value) {
  switch (value.kind()) {
    case json::kind::object:
      out.begin_object();
      for (const auto& [name, member] : value.get_object()) {
        out.key({name.data(), name.size()});
        write(out, member);
      }
      out.end_object();
      return;
    case json::kind::array:
      out.begin_array();
      for (const auto& item : value.get_array()) write(out, item);
      out.end_array();
      return;
    case json::kind::string:
      out.value(std::string_view{value.get_string().data(), value.get_string().size()});
      return;
    case json::kind::double_:
      out.value(value.get_double());
      return;
    default:
      out.raw(json::serialize(value));
  }
}

Result<std::string> written(std::string_view text, Layout layout) {
  HF_ASSIGN(const auto value, parse(text));
  Writer writer{layout};
  write(writer, value);
  return std::move(writer).take() + "\n";
}

}  // namespace

Result<std::string> pretty_json(std::string_view text) { return written(text, Layout::indented); }
Result<std::string> json_line(std::string_view text) { return written(text, Layout::one_line); }

}  // namespace holdfast::agent::cli
