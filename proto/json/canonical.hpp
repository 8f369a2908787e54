#pragma once
/// \file
/// Canonical JSON, written member by member while a document is read: keys sorted by byte order, no
/// white space, one spelling for each value. Its bytes are hashed, so nothing here may change
/// without a new apiVersion.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/strong.hpp"

namespace holdfast::proto::json {

/// A JSON string of UTF-8 text. Escaped are `"`, `\` and the characters that a document may not
/// contain raw.
[[nodiscard]] std::string quote(std::string_view text);

[[nodiscard]] std::string array(const std::vector<std::string>& fragments);
/// An array of JSON strings.
[[nodiscard]] std::string strings(const std::vector<std::string>& texts);

class Object {
 public:
  void set(std::string_view key, std::string_view text) { set_raw(key, quote(text)); }
  void set(std::string_view key, const std::string& text) { set_raw(key, quote(text)); }
  void set(std::string_view key, const char* text) { set_raw(key, quote(text)); }
  void set(std::string_view key, bool value) { set_raw(key, value ? "true" : "false"); }
  void set(std::string_view key, std::uint64_t value) { set_raw(key, std::to_string(value)); }
  /// "1500ms": a duration in the language of the documents, so that canonical text is a document
  /// again.
  void set(std::string_view key, Milliseconds value);
  void set(std::string_view key, Bytes value) { set(key, value.value()); }
  /// Left out when it is empty: an empty mapping says what no mapping says.
  void set(std::string_view key, const Object& value);
  /// `fragment` must be canonical JSON.
  void set_raw(std::string_view key, std::string fragment);
  /// Copies a member of `from`, if there is one.
  void copy(std::string_view key, const Object& from);

  [[nodiscard]] bool empty() const noexcept { return members_.empty(); }
  [[nodiscard]] std::string str() const;

 private:
  std::map<std::string, std::string, std::less<>> members_;
};

}  // namespace holdfast::proto::json
