#pragma once
/// \file
/// JSON as text, written without a tree: a large answer costs its own size. The one place where
/// strings are escaped for others; canonical.hpp does it for digests.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::proto::json {

/// `text` as a JSON string, quotes included (RFC 8259, 7). Whatever `printable` would not let onto
/// a terminal (C0, DEL, C1, bidi controls) is escaped, so that it gets there neither raw nor
/// through a program that prints JSON; bytes that are not UTF-8 become \ufffd
/// (packaging/doc/security.md T-44).
[[nodiscard]] std::string quote_safely(std::string_view text);

enum class Layout : std::uint8_t { one_line, indented };

/// Values in the order in which they are written; the caller sees to it that they nest.
class Writer {
 public:
  explicit Writer(Layout layout = Layout::one_line) : layout_(layout) {}

  Writer& begin_object() { return begin('{'); }
  Writer& end_object() { return end('}'); }
  Writer& begin_array() { return begin('['); }
  Writer& end_array() { return end(']'); }
  /// The name of the member whose value comes next.
  Writer& key(std::string_view name);

  Writer& value(std::string_view text) { return raw(quote_safely(text)); }
  Writer& value(const char* text) { return value(std::string_view{text}); }
  Writer& value(bool flag) { return raw(flag ? "true" : "false"); }
  Writer& value(std::uint64_t number) { return raw(std::to_string(number)); }
  Writer& value(std::int64_t number) { return raw(std::to_string(number)); }
  Writer& value(int number) { return raw(std::to_string(number)); }
  /// In plain notation as far as that is short; null when it is not finite.
  Writer& value(double number);
  Writer& null() { return raw("null"); }
  /// JSON that is written already.
  Writer& raw(std::string_view json);

  [[nodiscard]] std::string take() && { return std::move(out_); }

 private:
  Writer& begin(char bracket);
  Writer& end(char bracket);
  void separate();
  void line();

  Layout layout_;
  std::string out_;
  std::vector<bool> empty_;  ///< of every object and array that is open
  bool after_key_ = false;
};

}  // namespace holdfast::proto::json
