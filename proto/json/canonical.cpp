#include "proto/json/canonical.hpp"

#include <fmt/format.h>

#include <utility>

namespace holdfast::proto::json {

namespace {

struct Refused {
  std::size_t length;  ///< of the sequence in bytes
  unsigned value;
};

/// DEL, C1, line separators, bidirectional controls and the byte order mark, which documents may
/// not contain raw. Length 0: some other character.
Refused refused_at(std::string_view text, std::size_t pos) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return pos + i < text.size() ? static_cast<unsigned char>(text[pos + i]) : 0U;
  };
  if (byte(0) < 0x20 || byte(0) == 0x7F) return {1, byte(0)};
  if (byte(0) == 0xC2 && byte(1) < 0xA0) return {2, byte(1)};
  if (byte(0) != 0xE2 && byte(0) != 0xEF) return {0, 0};
  const unsigned value = ((byte(0) & 0x0FU) << 12) | ((byte(1) & 0x3FU) << 6) | (byte(2) & 0x3FU);
  const bool refused = (value >= 0x2028 && value <= 0x202E) ||
                       (value >= 0x2066 && value <= 0x2069) || value == 0xFEFF;
  return {refused ? std::size_t{3} : std::size_t{0}, value};
}

}  // namespace

std::string quote(std::string_view text) {
  std::string out{"\""};
  for (std::size_t pos = 0; pos < text.size();) {
    const char c = text[pos];
    if (const auto [length, value] = refused_at(text, pos); length != 0) {
      out += fmt::format("\\u{:04x}", value);
      pos += length;
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
    ++pos;
  }
  out += '"';
  return out;
}

std::string array(const std::vector<std::string>& fragments) {
  return fmt::format("[{}]", fmt::join(fragments, ","));
}

std::string strings(const std::vector<std::string>& texts) {
  std::vector<std::string> fragments;
  for (const auto& text : texts) fragments.push_back(quote(text));
  return array(fragments);
}

void Object::set(std::string_view key, Milliseconds value) {
  set(key, fmt::format("{}ms", value.count()));
}

void Object::set(std::string_view key, const Object& value) {
  if (!value.empty()) set_raw(key, value.str());
}

void Object::set_raw(std::string_view key, std::string fragment) {
  members_.insert_or_assign(std::string{key}, std::move(fragment));
}

void Object::copy(std::string_view key, const Object& from) {
  if (const auto found = from.members_.find(key); found != from.members_.end())
    set_raw(key, found->second);
}

std::string Object::str() const {
  std::string out{"{"};
  for (const auto& [key, fragment] : members_) {
    if (out.size() > 1) out += ',';
    out += quote(key);
    out += ':';
    out += fragment;
  }
  out += '}';
  return out;
}

}  // namespace holdfast::proto::json
