#include "proto/worker/escaped_path.hpp"

#include <boost/json.hpp>

#include "common/url/url.hpp"
#include "proto/json/fields.hpp"

namespace holdfast::proto::worker {

namespace bj = boost::json;

std::string escape_path(std::string_view path) {
  return url::encode(path, url::Plain::printable_but_percent, url::Digits::lower);
}

Result<std::string> unescape_path(std::string_view text) {
  auto path = url::decode(text);
  if (!path) return Error{Errc::internal, "malformed path"};
  return path;
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
