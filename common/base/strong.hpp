#pragma once
/// \file
/// Distinct types for distinct identifiers, so that a service name cannot be passed for an instance
/// id.

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace holdfast {

/// A string with a meaning of its own. `Tag` makes the type; ordering and hashing are the string's.
template <class Tag>
class StrongString {
 public:
  StrongString() = default;
  explicit StrongString(std::string value) : value_(std::move(value)) {}
  explicit StrongString(std::string_view value) : value_(value) {}
  explicit StrongString(const char* value) : value_(value) {}

  [[nodiscard]] const std::string& str() const noexcept { return value_; }
  [[nodiscard]] bool empty() const noexcept { return value_.empty(); }
  auto operator<=>(const StrongString&) const = default;
  bool operator==(const StrongString&) const = default;

 private:
  std::string value_;
};

/// A number with a meaning of its own.
template <class Tag>
class StrongNumber {
 public:
  constexpr StrongNumber() = default;
  constexpr explicit StrongNumber(std::uint64_t value) : value_(value) {}
  [[nodiscard]] constexpr std::uint64_t value() const noexcept { return value_; }
  auto operator<=>(const StrongNumber&) const = default;

 private:
  std::uint64_t value_ = 0;
};

/// A count of bytes.
using Bytes = StrongNumber<struct BytesTag>;

}  // namespace holdfast

template <class Tag>
struct std::hash<holdfast::StrongString<Tag>> {
  std::size_t operator()(const holdfast::StrongString<Tag>& value) const noexcept {
    return std::hash<std::string>{}(value.str());
  }
};
