#include "agent/cli/render/suggest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/text.hpp"

namespace holdfast::agent::cli {
namespace {

/// Words that users of other tools try, and ours.
constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kAliases{{
    {"up", "apply"},
    {"deploy", "apply"},
    {"update", "apply"},
    {"undo", "rollback"},
    {"revert", "rollback"},
    {"ps", "status"},
    {"ls", "status"},
    {"list", "status"},
    {"log", "logs"},
    {"check", "doctor"},
    {"validate", "lint"},
    {"inspect", "show"},
}};

std::string_view meant(std::string_view word, const std::vector<std::string>& commands) {
  for (const auto& [alias, command] : kAliases)
    if (alias == word && std::find(commands.begin(), commands.end(), command) != commands.end())
      return command;
  const std::vector<std::string_view> candidates{commands.begin(), commands.end()};
  return nearest(word, candidates);
}

/// The first word that is not an option or the value of one.
std::string_view first_word(const std::vector<std::string>& args) {
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string_view arg = args[i];
    if (arg == "--socket" || arg == "--output" || arg == "-o") {
      ++i;
    } else if (!arg.starts_with('-')) {
      return arg;
    }
  }
  return {};
}

/// CLI11's sentence in our manner: one line, lower case at its start.
std::string printable_sentence(std::string_view what) {
  auto text = printable(trim(what));
  const bool word =
      text.size() > 1 && text[0] >= 'A' && text[0] <= 'Z' && !(text[1] >= 'A' && text[1] <= 'Z');
  if (word) text[0] = static_cast<char>(text[0] - 'A' + 'a');
  return text;
}

}  // namespace

std::string unknown_command(std::string_view parent, const std::vector<std::string>& args,
                            const std::vector<std::string>& commands) {
  const auto word = first_word(args);
  if (word.empty() || std::find(commands.begin(), commands.end(), word) != commands.end())
    return {};
  auto named = fmt::format("{} {}", parent, printable(word));
  if (const auto space = named.find(' '); space != std::string::npos) named.erase(0, space + 1);
  auto text = fmt::format("error: there is no command \"{}\"\n", named);
  if (const auto instead = meant(word, commands); !instead.empty())
    text += fmt::format("  did you mean: {} {}\n", parent, instead);
  return text + fmt::format("  next: {} --help\n", parent);
}

std::string usage_message(std::string_view command, std::string_view what,
                          const std::vector<std::string>& flags) {
  std::string hint;
  if (const auto dashes = what.find("--");
      dashes != std::string_view::npos && what.find("not expected") != std::string_view::npos) {
    auto flag = what.substr(dashes);
    flag = flag.substr(0, flag.find_first_of(" ="));
    const std::vector<std::string_view> candidates{flags.begin(), flags.end()};
    if (const auto instead = nearest(flag, candidates); !instead.empty())
      hint = fmt::format("  did you mean: {}\n", instead);
  }
  return fmt::format("error: {}\n{}  next: {} --help\n", printable_sentence(what), hint, command);
}

}  // namespace holdfast::agent::cli
