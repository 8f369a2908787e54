#include "proto/deployment/compose_forms.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include "common/base/text.hpp"
#include "proto/yaml/scalars.hpp"

namespace holdfast::proto::compose {
namespace {

constexpr std::size_t kMostShown = 3;

bool is_name_start(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool is_name_part(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// A list of "NAME=value" as the mapping that `key` takes.
std::string pairs_hint(std::string_view key, const yaml::Node& list) {
  std::vector<std::string> pairs;
  for (const auto& item : list.items) {
    const auto equals = item.text.find('=');
    if (equals == std::string::npos || equals == 0) continue;
    pairs.push_back(fmt::format("{}: \"{}\"", yaml::shown(item.text.substr(0, equals)),
                                yaml::shown(item.text.substr(equals + 1))));
    if (pairs.size() == kMostShown) break;
  }
  if (pairs.empty()) return fmt::format("write {}: {{NAME: \"value\"}}", key);
  return fmt::format("write {}: {{{}{}}}", key, fmt::join(pairs, ", "),
                     list.items.size() > pairs.size() ? ", …" : "");
}

}  // namespace

std::string env_hint(const yaml::Node& list) { return pairs_hint("env", list); }
std::string labels_hint(const yaml::Node& list) { return pairs_hint("labels", list); }
std::string sysctls_hint(const yaml::Node& list) { return pairs_hint("sysctls", list); }

std::string volume_hint(const yaml::Node& item) {
  if (item.kind != yaml::Kind::scalar) return {};
  const auto parts = split(item.text, ':');
  if (parts.size() < 2 || parts.size() > 3 || parts[0].empty() || !parts[1].starts_with('/'))
    return "write {source: NAME or /PATH/ON/THE/HOST, target: /PATH}";
  const auto options = parts.size() == 3 ? split(parts[2], ',') : std::vector<std::string_view>{};
  const bool read_only = std::find(options.begin(), options.end(), "ro") != options.end();
  return fmt::format("write {{source: {}, target: {}{}}}", yaml::shown(parts[0]),
                     yaml::shown(parts[1]), read_only ? ", read_only: true" : "");
}

std::string depends_on_hint(const yaml::Node& mapping) {
  std::vector<std::string> names;
  for (const auto& member : mapping.members) names.push_back(yaml::shown(member.key));
  return fmt::format(
      "write depends_on: [{}]: it waits until they are healthy, or have ended where restart is "
      "\"no\"",
      fmt::join(names, ", "));
}

std::string secret_hint(const yaml::Node& item) {
  if (item.kind != yaml::Kind::scalar) return {};
  return fmt::format("write {{name: {}, file: /PATH/ON/THE/HOST}}", yaml::shown(item.text));
}

std::string config_hint(const yaml::Node& item) {
  if (item.kind != yaml::Kind::scalar) return {};
  return "write {content: …, target: /PATH}, or {file: /PATH/ON/THE/HOST, digest: \"sha256:…\", "
         "target: /PATH}";
}

std::string colon_hint(std::string_view key) {
  const auto colon = key.find(':');
  if (colon == std::string_view::npos || colon == 0) return {};
  return fmt::format("write a space after the colon: {}: {}", yaml::shown(key.substr(0, colon)),
                     yaml::shown(key.substr(colon + 1)));
}

rules::Verdict check_program(const std::vector<std::string>& command) {
  if (command.size() != 1 || command.front().find(' ') == std::string::npos) return std::nullopt;
  std::vector<std::string> words;
  for (const auto word : split(command.front(), ' '))
    if (!word.empty()) words.push_back(fmt::format("\"{}\"", yaml::shown(word)));
  const bool script = command.front().find_first_of("|&;<>$`*?\"'") != std::string::npos;
  return rules::Fault{
      "is a whole command line in one argument, and there is no shell that splits it",
      script ? "write [\"/bin/sh\", \"-c\", \"…\"]"
             : fmt::format("write [{}]", fmt::join(words, ", "))};
}

std::string dollar_warning(std::string_view text) {
  for (auto at = text.find('$'); at != std::string_view::npos && at + 1 < text.size();
       at = text.find('$', at + 1)) {
    const char next = text[at + 1];
    if (next == '$') {
      const char after = at + 2 < text.size() ? text[at + 2] : '\0';
      if (after == '{' || after == '(') return {};  // the way to mean that
      return "has $$, which is passed on as two dollar signs";
    }
    if (!is_name_start(next)) continue;
    auto end = at + 1;
    while (end < text.size() && is_name_part(text[end])) ++end;
    return fmt::format("has {}, which is passed on as it is: nothing is put in its place",
                       yaml::shown(text.substr(at, end - at)));
  }
  return {};
}

}  // namespace holdfast::proto::compose
