#pragma once
/// \file
/// Reading the small JSON objects of this folder: an absent or mistyped field is its empty value.
/// For .cpp files, which include <boost/json.hpp> themselves.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"

namespace boost::json {
class object;
class array;
}  // namespace boost::json

namespace holdfast::deploy::image {

[[nodiscard]] Result<boost::json::object> json_object(std::string_view text, Errc failure);
[[nodiscard]] std::string string_field(const boost::json::object& object, std::string_view key);
[[nodiscard]] std::uint64_t number_field(const boost::json::object& object, std::string_view key);
[[nodiscard]] bool flag_field(const boost::json::object& object, std::string_view key);
[[nodiscard]] std::vector<std::string> strings_field(const boost::json::object& object,
                                                     std::string_view key);
/// Paths in the escaped form of `worker::escape_path`. Errors: internal (form).
[[nodiscard]] Result<std::vector<std::string>> paths_field(const boost::json::object& object,
                                                           std::string_view key);
[[nodiscard]] boost::json::array paths_array(const std::vector<std::string>& paths);

}  // namespace holdfast::deploy::image
