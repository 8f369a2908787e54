#pragma once
/// \file
/// Reading small JSON objects of our own: an absent or mistyped field is its empty value.
/// For .cpp files, which include <boost/json.hpp> themselves.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"

namespace boost::json {
class object;
}  // namespace boost::json

namespace holdfast::proto::json {

[[nodiscard]] Result<boost::json::object> json_object(std::string_view text, Errc failure);
[[nodiscard]] std::string string_field(const boost::json::object& object, std::string_view key);
[[nodiscard]] std::uint64_t number_field(const boost::json::object& object, std::string_view key);
[[nodiscard]] bool flag_field(const boost::json::object& object, std::string_view key);
[[nodiscard]] std::vector<std::string> strings_field(const boost::json::object& object,
                                                     std::string_view key);

}  // namespace holdfast::proto::json
