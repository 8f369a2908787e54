#include "proto/worker/escaped_path.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <iterator>

#include "proto/json/fields.hpp"

namespace holdfast::proto::worker {

namespace bj = boost::json;

std::string escape_path(std::string_view path) {
  std::string out;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7F && c != '%') {
      out.push_back(c);
    } else {
      fmt::format_to(std::back_inserter(out), "%{:02x}", byte);
    }
  }
  return out;
}

Result<std::string> unescape_path(std::string_view text) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size() || digit(text[i + 1]) < 0 || digit(text[i + 2]) < 0)
      return Error{Errc::internal, "malformed path"};
    out.push_back(static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2])));
    i += 2;
  }
  return out;
}

Result<std::vector<std::string>> paths_field(const bj::object& object, std::string_view key) {
  auto out = json::strings_field(object, key);
  for (auto& path : out) {
    HF_ASSIGN(path, unescape_path(path));
  }
  return out;
}

bj::array paths_array(const std::vector<std::string>& paths) {
  bj::array out;
  for (const auto& path : paths) out.emplace_back(escape_path(path));
  return out;
}

}  // namespace holdfast::proto::worker
