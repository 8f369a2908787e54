#include "proto/json/fields.hpp"

#include <boost/json.hpp>

#include "proto/json/json.hpp"

namespace holdfast::proto::json {

namespace bj = boost::json;

Result<bj::object> json_object(std::string_view text, Errc failure) {
  HF_ASSIGN(bj::value value, parse(text, failure));
  if (!value.is_object()) return Error{failure, "not a JSON object"};
  return std::move(value.as_object());
}

std::string string_field(const bj::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string{value->as_string()} : std::string{};
}

std::uint64_t number_field(const bj::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr) return 0;
  if (value->is_uint64()) return value->as_uint64();
  return value->is_int64() && value->as_int64() >= 0 ? static_cast<std::uint64_t>(value->as_int64())
                                                     : 0;
}

bool flag_field(const bj::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value != nullptr && value->is_bool() && value->as_bool();
}

std::vector<std::string> strings_field(const bj::object& object, std::string_view key) {
  std::vector<std::string> out;
  const auto* value = object.if_contains(key);
  if (value == nullptr || !value->is_array()) return out;
  for (const auto& item : value->as_array()) {
    if (item.is_string()) out.emplace_back(item.as_string());
  }
  return out;
}

}  // namespace holdfast::proto::json
