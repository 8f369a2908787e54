#pragma once
/// \file
/// Closed sets as people and programs read them: an enum, and one table of its words.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::proto {

/// The words of an enum whose enumerators count from 0, in their order: `kAll` of a specialisation,
/// which is the only place where they stand.
template <class E>
struct Words;

template <class E>
[[nodiscard]] constexpr std::string_view word_of(E value) {
  return Words<E>::kAll[static_cast<std::size_t>(value)];
}

/// One of the words of E, or none (""), or one that only the other side knows ("unknown").
template <class E>
class Word {
 public:
  using Enum = E;
  static constexpr const auto& kAll = Words<E>::kAll;

  constexpr Word() = default;
  constexpr Word(E value) : at_(static_cast<std::uint8_t>(value)) {}  // NOLINT: implicit on purpose
  /// From a literal, which has to be one of the words: else it does not compile.
  template <std::size_t kSize>
  consteval Word(const char (&text)[kSize])  // NOLINT: implicit on purpose
      : at_(place_of({text, kSize - 1})) {
    if (at_ == kUnknown) throw "not one of the words";
  }
  /// From outside. Empty: none.
  [[nodiscard]] static constexpr Word read(std::string_view text) {
    Word word;
    word.at_ = place_of(text);
    return word;
  }

  [[nodiscard]] constexpr std::string_view text() const {
    return at_ == kNone ? std::string_view{} : at_ == kUnknown ? "unknown" : kAll[at_];
  }
  [[nodiscard]] std::string str() const { return std::string{text()}; }
  [[nodiscard]] constexpr bool empty() const { return at_ == kNone; }
  constexpr bool operator==(const Word&) const = default;

 private:
  static constexpr std::uint8_t kNone = 0xFF;
  static constexpr std::uint8_t kUnknown = 0xFE;
  static_assert(kAll.size() < kUnknown);

  static constexpr std::uint8_t place_of(std::string_view text) {
    if (text.empty()) return kNone;
    const auto found = std::find(kAll.begin(), kAll.end(), text);
    return found == kAll.end() ? kUnknown : static_cast<std::uint8_t>(found - kAll.begin());
  }

  std::uint8_t at_ = kNone;
};

}  // namespace holdfast::proto
