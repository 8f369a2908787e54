#pragma once
/// \file
/// Paths in JSON: paths are bytes and JSON is UTF-8, so everything but printable ASCII, and '%',
/// becomes %XX. For .cpp files, which include <boost/json.hpp> themselves.

#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"

namespace boost::json {
class object;
class array;
}  // namespace boost::json

namespace holdfast::proto::worker {

[[nodiscard]] std::string escape_path(std::string_view path);
/// Errors: internal (form).
[[nodiscard]] Result<std::string> unescape_path(std::string_view text);

/// An array of escaped paths; absent or mistyped: none. Errors: internal (form).
[[nodiscard]] Result<std::vector<std::string>> paths_field(const boost::json::object& object,
                                                           std::string_view key);
[[nodiscard]] boost::json::array paths_array(const std::vector<std::string>& paths);

}  // namespace holdfast::proto::worker
