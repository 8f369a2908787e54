#include "deploy/image/json_fields.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "deploy/image/worker_protocol.hpp"
#include "proto/json/json.hpp"

namespace holdfast::deploy::image {

namespace bj = boost::json;

Result<bj::object> json_object(std::string_view text, Errc failure) {
  HF_ASSIGN(bj::value value, proto::json::parse(text, failure));
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

Result<std::vector<std::string>> paths_field(const bj::object& object, std::string_view key) {
  auto out = strings_field(object, key);
  for (auto& path : out) {
    HF_ASSIGN(path, worker::unescape_path(path));
  }
  return out;
}

bj::array paths_array(const std::vector<std::string>& paths) {
  bj::array out;
  for (const auto& path : paths) out.emplace_back(worker::escape_path(path));
  return out;
}

namespace worker {

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

}  // namespace worker
}  // namespace holdfast::deploy::image
