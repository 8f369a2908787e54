#include "proto/yaml/fields.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/text.hpp"
#include "proto/yaml/scalars.hpp"

namespace holdfast::proto::yaml {
namespace {

constexpr std::size_t kLongestNearMiss =
    64;  ///< longer words are no slips; comparing them would be slow

std::string join(std::span<const std::string_view> words) {
  return fmt::format("{}", fmt::join(words, ", "));
}

/// "write true" for the words of YAML 1.1.
std::string meant(const Node& node) {
  if (node.kind != Kind::scalar || other_type(node.text) != "a boolean") return {};
  const char last = node.text.back();  // yes, on, true; no, off, false
  const bool yes = node.text.size() == 4 || last == 's' || last == 'S' ||
                   ((last == 'n' || last == 'N') && node.text.size() == 2);
  return yes ? "write true" : "write false";
}

/// "64m", "10MB" → "write 64Mi": what compose files mean by them.
std::string size_hint(const Node& node) {
  const std::string_view text = node.text;
  const auto unit = text.find_first_not_of("0123456789");
  const bool one_letter = unit != std::string_view::npos && unit + 1 == text.size();
  const bool two_letters =
      unit != std::string_view::npos && unit + 2 == text.size() && (text[unit + 1] | 0x20) == 'b';
  if (node.kind == Kind::scalar && unit != 0 && (one_letter || two_letters)) {
    constexpr std::string_view kUnits = "kmgt";
    const auto which = kUnits.find(static_cast<char>(text[unit] | 0x20));
    const auto size = which == std::string_view::npos
                          ? std::string{}
                          : fmt::format("{}{}i", text.substr(0, unit), "KMGT"[which]);
    if (parse_size(size)) return "write " + size;
  }
  return "write 64Ki, 256Mi, 1Gi or a number of bytes";
}

std::string hint_for(std::string_view key, std::span<const std::string_view> known,
                     std::span<const Alias> aliases) {
  if (key.size() > kLongestNearMiss) return {};
  std::vector<std::string_view> words{known.begin(), known.end()};
  for (const auto& alias : aliases) words.push_back(alias.word);
  const auto near = nearest(key, words);
  for (const auto& alias : aliases) {
    if (near == alias.word) return std::string{alias.hint};
  }
  return near.empty() ? fmt::format("known keys: {}", join(known))
                      : fmt::format("did you mean \"{}\"?", near);
}

}  // namespace

std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates) {
  if (word.size() > kLongestNearMiss) return {};
  const auto near = nearest(word, candidates);
  return near.empty() ? std::string{} : fmt::format("did you mean \"{}\"?", near);
}

std::optional<Located<std::string>> as_text(const Node& node, std::string_view where,
                                            Findings& findings) {
  if (node.kind != Kind::scalar) {
    findings.error(node.mark, fmt::format("{} must be a string, not {}", where, describe(node)));
    return std::nullopt;
  }
  if (node.style == Style::plain && !other_type(node.text).empty()) {
    findings.error(node.mark, fmt::format("{} must be a string, not {}", where, describe(node)),
                   fmt::format("put it in quotes: \"{}\"", shown(node.text)));
    return std::nullopt;
  }
  if (node.text.find('\0') != std::string::npos) {
    findings.error(node.mark, fmt::format("{} must not contain a NUL character", where));
    return std::nullopt;
  }
  return Located<std::string>{node.text, node.mark};
}

Fields::Fields(const Node& node, std::string path, std::span<const std::string_view> known,
               Findings& findings, std::span<const Alias> aliases)
    : node_(node), path_(std::move(path)), findings_(findings) {
  if (node.kind != Kind::mapping) {
    findings.error(node.mark, fmt::format("{} must be a mapping, not {}",
                                          path_.empty() ? "the document" : path_, describe(node)));
    return;
  }
  if (known.empty()) return;
  for (const auto& [key, mark, value] : node.members) {
    if (key.starts_with(kExtension) || std::find(known.begin(), known.end(), key) != known.end())
      continue;
    auto hint = findings.full() ? std::string{} : hint_for(key, known, aliases);
    findings.error(
        mark, fmt::format("unknown key \"{}\"{}{}", shown(key), path_.empty() ? "" : " in ", path_),
        std::move(hint));
  }
}

const Member* Fields::member(std::string_view key) const {
  const auto found = std::find_if(node_.members.begin(), node_.members.end(),
                                  [&](const Member& m) { return m.key == key; });
  return found == node_.members.end() ? nullptr : &*found;
}

bool Fields::has(std::string_view key) const { return member(key) != nullptr; }

const Node* Fields::find(std::string_view key) {
  const auto* found = member(key);
  if (found == nullptr) return nullptr;
  if (found->value.kind != Kind::null) return &found->value;
  findings_.error(found->mark, fmt::format("{} has no value", path(key)),
                  "give it one, or leave the key out");
  return nullptr;
}

void Fields::require(std::string_view key, std::string hint) {
  if (node_.kind != Kind::mapping || has(key)) return;
  findings_.error(node_.mark,
                  path_.empty() ? fmt::format("the key \"{}\" is missing", key)
                                : fmt::format("the key \"{}\" is missing in {}", key, path_),
                  std::move(hint));
}

Mark Fields::mark(std::string_view key) const {
  const auto* found = member(key);
  return found == nullptr ? node_.mark : found->mark;
}

Mark Fields::value_mark(std::string_view key) const {
  const auto* found = member(key);
  return found == nullptr ? node_.mark : found->value.mark;
}

std::string Fields::path(std::string_view key) const {
  return path_.empty() ? shown(key) : fmt::format("{}.{}", path_, shown(key));
}

std::optional<Located<std::string>> Fields::text(std::string_view key) {
  const auto* node = find(key);
  if (node == nullptr) return std::nullopt;
  return as_text(*node, path(key), findings_);
}

std::optional<bool> Fields::flag(std::string_view key) {
  const auto* node = find(key);
  if (node == nullptr) return std::nullopt;
  if (node->kind == Kind::scalar && node->style == Style::plain) {
    if (node->text == "true") return true;
    if (node->text == "false") return false;
  }
  findings_.error(node->mark,
                  fmt::format("{} must be true or false, not {}", path(key), value_text(*node)),
                  meant(*node));
  return std::nullopt;
}

std::optional<std::uint64_t> Fields::number(std::string_view key, Range range) {
  const auto* node = find(key);
  if (node == nullptr) return std::nullopt;
  const auto value = node->kind == Kind::scalar && node->style == Style::plain
                         ? parse_integer(node->text)
                         : std::nullopt;
  if (!value) {
    findings_.error(node->mark,
                    fmt::format("{} must be a whole number, not {}", path(key), value_text(*node)));
    return std::nullopt;
  }
  if (*value < range.least || *value > range.most) {
    findings_.error(node->mark, fmt::format("{} is {}, but must be between {} and {}", path(key),
                                            *value, range.least, range.most));
    return std::nullopt;
  }
  return value;
}

std::optional<Milliseconds> Fields::duration(std::string_view key, DurationRange range) {
  const auto* node = find(key);
  if (node == nullptr) return std::nullopt;
  const auto value = node->kind == Kind::scalar ? parse_duration(node->text) : std::nullopt;
  if (!value) {
    const bool bare = node->kind == Kind::scalar && parse_integer(node->text);
    findings_.error(
        node->mark, fmt::format("{} must be a duration, not {}", path(key), value_text(*node)),
        bare ? fmt::format("add a unit: {}s", shown(node->text)) : "write 500ms, 10s, 1m30s or 2h");
    return std::nullopt;
  }
  if (*value < range.least || *value > range.most) {
    findings_.error(node->mark, fmt::format("{} is {}, but must be between {} and {}", path(key),
                                            shown(node->text), human_duration(range.least),
                                            human_duration(range.most)));
    return std::nullopt;
  }
  return value;
}

std::optional<Bytes> Fields::size(std::string_view key, Bytes least) {
  const auto* node = find(key);
  if (node == nullptr) return std::nullopt;
  const auto value = node->kind == Kind::scalar ? parse_size(node->text) : std::nullopt;
  if (!value) {
    findings_.error(node->mark,
                    fmt::format("{} must be a size, not {}", path(key), value_text(*node)),
                    size_hint(*node));
    return std::nullopt;
  }
  if (*value < least) {
    findings_.error(node->mark, fmt::format("{} is {}, but must be at least {}", path(key),
                                            shown(node->text), human_bytes(least.value())));
    return std::nullopt;
  }
  return value;
}

const std::vector<Node>* Fields::list(std::string_view key) {
  const auto* node = find(key);
  if (node == nullptr) return nullptr;
  if (node->kind == Kind::sequence) return &node->items;
  findings_.error(
      node->mark, fmt::format("{} must be a list, not {}", path(key), describe(*node)),
      node->kind == Kind::scalar ? fmt::format("write [\"{}\"]", shown(node->text)) : "");
  return nullptr;
}

std::optional<std::vector<Located<std::string>>> Fields::texts(std::string_view key) {
  const auto* items = list(key);
  if (items == nullptr) return std::nullopt;
  std::vector<Located<std::string>> found;
  bool good = true;
  for (std::size_t i = 0; i < items->size(); ++i) {
    auto item = as_text((*items)[i], fmt::format("{}[{}]", path(key), i), findings_);
    good = good && item.has_value();
    if (item) found.push_back(*std::move(item));
  }
  if (!good) return std::nullopt;
  return found;
}

std::optional<std::vector<std::pair<Located<std::string>, Located<std::string>>>> Fields::text_map(
    std::string_view key) {
  const auto* node = find(key);
  if (node == nullptr) return std::nullopt;
  if (node->kind != Kind::mapping) {
    findings_.error(node->mark, fmt::format("{} must be a mapping of names to strings, not {}",
                                            path(key), describe(*node)));
    return std::nullopt;
  }
  std::vector<std::pair<Located<std::string>, Located<std::string>>> found;
  for (const auto& [name, mark, value] : node->members) {
    auto item = as_text(value, fmt::format("{}.{}", path(key), shown(name)), findings_);
    if (item) found.push_back({{name, mark}, *std::move(item)});
  }
  return found;
}

std::optional<std::size_t> Fields::choice(std::string_view key,
                                          std::span<const std::string_view> options) {
  const auto* node = find(key);
  if (node == nullptr) return std::nullopt;
  if (node->kind == Kind::scalar) {
    const auto found = std::find(options.begin(), options.end(), node->text);
    if (found != options.end()) return static_cast<std::size_t>(found - options.begin());
  }
  findings_.error(
      node->mark,
      fmt::format("{} must be one of {}, not {}", path(key), join(options), value_text(*node)),
      node->kind == Kind::scalar ? did_you_mean(node->text, options) : "");
  return std::nullopt;
}

}  // namespace holdfast::proto::yaml
