#pragma once
/// \file
/// One mapping of a document, read strictly: known keys, given types, every fault reported and none
/// of them in the way of the next. Shared by the deployment document and agent.yaml.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/strong.hpp"
#include "proto/yaml/tree.hpp"

namespace holdfast::proto::yaml {

/// A value and its place.
template <class T>
struct Located {
  T value;
  Mark mark;
};

/// A word of other tools for something that is written in another way here.
struct Alias {
  std::string_view word;
  std::string_view hint;  ///< "did you mean \"env\"?"
};

struct Range {
  std::uint64_t least = 0;
  std::uint64_t most = UINT64_MAX;
};

struct DurationRange {
  Milliseconds least{0};
  Milliseconds most{Milliseconds::max()};
};

/// Keys that begin so are for people and other tools, in every mapping with keys of its own: they
/// are passed over, whatever their value, and belong to no digest. As in compose files.
inline constexpr std::string_view kExtension = "x-";

/// Every reader returns nothing when the key is absent, and when its value is wrong, which it has
/// then reported.
class Fields {
 public:
  /// Reports a node that is no mapping, and keys that are not `known` with the nearest that is, or
  /// the hint of an alias; `kExtension` keys are no fault. `path` names the mapping in messages
  /// ("services.web"); empty at the top. The node must outlive this.
  Fields(const Node& node, std::string path, std::span<const std::string_view> known,
         Findings& findings, std::span<const Alias> aliases = {});

  /// The value, whatever it is. An explicit empty value ("key:") is reported and counts as absent.
  [[nodiscard]] const Node* find(std::string_view key);
  /// Reports an absent key at the mapping itself.
  void require(std::string_view key, std::string hint);
  [[nodiscard]] bool has(std::string_view key) const;

  /// A string: quoted, or plain text that no YAML reader takes for something else.
  [[nodiscard]] std::optional<Located<std::string>> text(std::string_view key);
  /// true or false, nothing else.
  [[nodiscard]] std::optional<bool> flag(std::string_view key);
  [[nodiscard]] std::optional<std::uint64_t> number(std::string_view key, Range range);
  [[nodiscard]] std::optional<Milliseconds> duration(std::string_view key,
                                                     DurationRange range = {});
  [[nodiscard]] std::optional<Bytes> size(std::string_view key, Bytes least = Bytes{0});
  /// A list of strings.
  [[nodiscard]] std::optional<std::vector<Located<std::string>>> texts(std::string_view key);
  /// A list of anything.
  [[nodiscard]] const std::vector<Node>* list(std::string_view key);
  /// A mapping of names to strings, in document order.
  [[nodiscard]] std::optional<std::vector<std::pair<Located<std::string>, Located<std::string>>>>
  text_map(std::string_view key);
  /// Index into `options`.
  [[nodiscard]] std::optional<std::size_t> choice(std::string_view key,
                                                  std::span<const std::string_view> options);

  [[nodiscard]] Mark mark() const noexcept { return node_.mark; }
  /// Of the key, or of the mapping when the key is absent.
  [[nodiscard]] Mark mark(std::string_view key) const;
  /// Of the value, or of the mapping when the key is absent.
  [[nodiscard]] Mark value_mark(std::string_view key) const;
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::string path(std::string_view key) const;
  [[nodiscard]] Findings& findings() noexcept { return findings_; }

 private:
  const Member* member(std::string_view key) const;
  const Node& node_;
  std::string path_;
  Findings& findings_;
};

/// A scalar that must be a string; `where` names it. Reports and returns nothing otherwise.
[[nodiscard]] std::optional<Located<std::string>> as_text(const Node& node, std::string_view where,
                                                          Findings& findings);

/// "did you mean \"env\"?", or empty when nothing is near.
[[nodiscard]] std::string did_you_mean(std::string_view word,
                                       std::span<const std::string_view> candidates);

}  // namespace holdfast::proto::yaml
