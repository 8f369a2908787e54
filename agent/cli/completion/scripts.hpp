#pragma once
/// \file
/// Completion scripts, made from the tree of commands. Services and generations are asked of the
/// agent by the shell, through the hidden `holdfast __complete`.

#include <string>
#include <string_view>
#include <vector>

namespace holdfast::agent::cli {

struct OptionInfo {
  std::vector<std::string> names;  ///< "-o", "--output"
  std::string description;
  bool takes_value = false;
  std::string value;  ///< what it takes, as the help calls it: "TIME"
  std::vector<std::string> choices;
};

/// A command with its options and sub-commands, as CLI11 knows it.
struct CommandInfo {
  std::string name;
  std::string description;
  std::vector<OptionInfo> options;
  std::string positional;  ///< "SERVICE", "FILE", "GENERATION"…; empty: none
  std::vector<CommandInfo> commands;
  std::string footer;  ///< examples; of the program also its exit codes
};
[[nodiscard]] std::string bash_completion(const CommandInfo& tree);
[[nodiscard]] std::string zsh_completion(const CommandInfo& tree);
[[nodiscard]] std::string fish_completion(const CommandInfo& tree);

/// A word from outside with its line end; empty when it holds anything but [A-Za-z0-9._-], which a
/// shell could take amiss.
[[nodiscard]] std::string completion_word(std::string_view word);

}  // namespace holdfast::agent::cli
