#pragma once
/// \file
/// The strict subset of YAML that Holdfast reads, as a tree in which every value knows its place.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/yaml/findings.hpp"

namespace holdfast::proto::yaml {

inline constexpr std::size_t kMaxBytes = 1U << 20;
inline constexpr int kMaxDepth = 32;
/// Keys and values; a service of the handbook has about 40.
inline constexpr std::size_t kMaxNodes = 32'768;
/// Brackets that are open at once, whether text or not: the parser reads on to the end of them
/// before it tells of the first.
inline constexpr std::size_t kMaxOpenBrackets = 256;
/// Brackets, commas and colons on one line, for the same reason.
inline constexpr std::size_t kMaxPunctuation = 16'384;

enum class Kind { null, scalar, sequence, mapping };
/// Plain text may be a number or a boolean; quoted and block text is always a string.
enum class Style { plain, quoted };

struct Member;

struct Node {
  Kind kind = Kind::null;
  Style style = Style::plain;
  Mark mark;
  std::string text;             ///< of a scalar
  std::vector<Node> items;      ///< of a sequence
  std::vector<Member> members;  ///< of a mapping, in document order, keys distinct
};

struct Member {
  std::string key;
  Mark mark;  ///< of the key
  Node value;
};

/// Reads one document. Refused with their place: anchors, aliases, tags, merge keys, duplicate
/// keys, keys that are not scalars, a second document, more than the bounds above, invalid UTF-8,
/// byte order marks, a carriage return alone, control characters (packaging/doc/security.md T-40 to
/// T-42). All but a syntax error and excessive nesting let reading go on, so that they are reported
/// together. Returns nothing when there is no tree to speak of; every fault is in `findings`. Never
/// throws.
[[nodiscard]] std::optional<Node> read(std::string_view text, Findings& findings);

}  // namespace holdfast::proto::yaml
