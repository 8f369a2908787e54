#include "agent/cli/completion/scripts.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace holdfast::agent::cli {
namespace {

/// What to offer for the argument of a command.
enum class Words : std::uint8_t { none, files, services, generations, shells, images };

Words words_for(const CommandInfo& command) {
  const auto& what = command.positional;
  if (what.find("SERVICE") != std::string::npos) return Words::services;
  if (what.find("FILE") != std::string::npos) return Words::files;
  if (what.find("A [B]") != std::string::npos) return Words::generations;
  if (command.name == "image") return Words::images;
  return what == "SHELL" ? Words::shells : Words::none;
}

/// Options whose value is a generation.
bool takes_generation(const OptionInfo& option) {
  return std::any_of(option.names.begin(), option.names.end(),
                     [](const auto& name) { return name == "--to" || name == "--rollback"; });
}
bool takes_file(const OptionInfo& option) {
  return std::any_of(option.names.begin(), option.names.end(), [](const auto& name) {
    return name == "--socket" || name == "--config" || name == "--file";
  });
}

std::string joined(const std::vector<std::string>& words, std::string_view between) {
  std::string text;
  for (const auto& word : words) text.append(text.empty() ? "" : between).append(word);
  return text;
}

std::vector<std::string> names_of(const std::vector<CommandInfo>& commands) {
  std::vector<std::string> names;
  for (const auto& command : commands) names.push_back(command.name);
  return names;
}

std::vector<std::string> flags_of(const std::vector<OptionInfo>& options) {
  std::vector<std::string> flags;
  for (const auto& option : options)
    flags.insert(flags.end(), option.names.begin(), option.names.end());
  return flags;
}

/// A command's own options and those of its actions, each once.
std::vector<OptionInfo> options_of(const CommandInfo& command) {
  auto options = command.options;
  for (const auto& action : command.commands) {
    for (const auto& option : action.options) {
      const bool known = std::any_of(options.begin(), options.end(),
                                     [&](const auto& each) { return each.names == option.names; });
      if (!known) options.push_back(option);
    }
  }
  return options;
}

/// Single-quoted for a shell.
std::string shell_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string{"'\\''"} : std::string(1, c);
  return out + "'";
}

std::string bash_words(const CommandInfo& command) {
  switch (words_for(command)) {
    case Words::services:
      return command.name == "show" ? "$(holdfast __complete generations 2>/dev/null) $(holdfast "
                                      "__complete services 2>/dev/null)"
                                    : "$(holdfast __complete services 2>/dev/null)";
    case Words::generations:
      return "$(holdfast __complete generations 2>/dev/null)";
    case Words::shells:
      return "bash zsh fish";
    case Words::images:
      return joined(names_of(command.commands), " ") + " $(holdfast __complete images 2>/dev/null)";
    case Words::files:
    case Words::none:
      return joined(names_of(command.commands), " ");
  }
  return {};
}

std::string bash_case(const CommandInfo& command) {
  const auto what = words_for(command);
  const bool files = what == Words::files || what == Words::generations;
  return fmt::format("    {}) flags=\"{}\"; words=\"{}\"; files={} ;;\n", command.name,
                     joined(flags_of(options_of(command)), " "), bash_words(command),
                     files ? 1 : 0);
}

}  // namespace

std::string bash_completion(const CommandInfo& tree) {
  std::string cases;
  for (const auto& command : tree.commands) cases += bash_case(command);
  return fmt::format(R"sh(# bash completion for holdfast, made by: holdfast completion bash
_holdfast() {{
  local cur prev command="" i flags="" words="" files=0 global="{global}"
  cur=${{COMP_WORDS[COMP_CWORD]}}
  prev=${{COMP_WORDS[COMP_CWORD-1]}}
  COMPREPLY=()
  case $prev in
    -o|--output) mapfile -t COMPREPLY < <(compgen -W "table json" -- "$cur"); return ;;
    --socket|--config) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --to|--rollback) mapfile -t COMPREPLY < <(compgen -W "$(holdfast __complete good-generations 2>/dev/null)" -- "$cur")
      [ "$prev" = --to ] && return ;;
  esac
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${{COMP_WORDS[i]}} in
      -o|--output|--socket) i=$((i + 1)) ;;
      -*) ;;
      *) command=${{COMP_WORDS[i]}}; break ;;
    esac
  done
  case $command in
    "") words="{commands}" ;;
{cases}  esac
  case $cur in
    -*) mapfile -t COMPREPLY < <(compgen -W "$flags $global" -- "$cur") ;;
    *) mapfile -t -O "${{#COMPREPLY[@]}}" COMPREPLY < <(compgen -W "$words" -- "$cur")
       if [ "$files" = 1 ]; then mapfile -t -O "${{#COMPREPLY[@]}}" COMPREPLY < <(compgen -f -- "$cur"); fi ;;
  esac
}}
complete -o filenames -F _holdfast holdfast
)sh",
                     fmt::arg("global", joined(flags_of(tree.options), " ")),
                     fmt::arg("commands", joined(names_of(tree.commands), " ")),
                     fmt::arg("cases", cases));
}

namespace {

/// zsh reads brackets and colons in descriptions as its own.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_action(const OptionInfo& option) {
  if (!option.takes_value) return "";
  if (!option.choices.empty()) return ":value:(" + joined(option.choices, " ") + ")";
  if (takes_generation(option)) return ":generation:_holdfast_good_generations";
  return takes_file(option) ? ":file:_files" : ":value:";
}

std::string zsh_positional(const CommandInfo& command) {
  switch (words_for(command)) {
    case Words::files:
      return " '*:file:_files'";
    case Words::services:
      return command.name == "show" ? " '1:what:_holdfast_any'" : " '1:service:_holdfast_services'";
    case Words::generations:
      return " '*:generation or file:_holdfast_sides'";
    case Words::shells:
      return " '1:shell:(bash zsh fish)'";
    case Words::images:
      return " '1:action:(" + joined(names_of(command.commands), " ") +
             ")' '*:image:_holdfast_images'";
    case Words::none:
      return command.commands.empty()
                 ? ""
                 : " '1:action:(" + joined(names_of(command.commands), " ") + ")'";
  }
  return {};
}

std::string zsh_options(const std::vector<OptionInfo>& options) {
  std::string text;
  for (const auto& option : options)
    for (const auto& name : option.names)
      text += " " + shell_quoted(fmt::format("{}[{}]{}", name, zsh_text(option.description),
                                             zsh_action(option)));
  return text;
}

}  // namespace

std::string zsh_completion(const CommandInfo& tree) {
  std::string commands;
  std::string cases;
  for (const auto& command : tree.commands) {
    commands += "    " + shell_quoted(command.name + ":" + zsh_text(command.description)) + "\n";
    cases += fmt::format("        {}) _arguments{}{}{} ;;\n", command.name,
                         zsh_options(options_of(command)), zsh_options(tree.options),
                         zsh_positional(command));
  }
  return fmt::format(R"sh(#compdef holdfast
# zsh completion for holdfast, made by: holdfast completion zsh
_holdfast_services() {{ compadd -- ${{(f)"$(holdfast __complete services 2>/dev/null)"}} }}
_holdfast_generations() {{ compadd -- ${{(f)"$(holdfast __complete generations 2>/dev/null)"}} }}
_holdfast_good_generations() {{ compadd -- ${{(f)"$(holdfast __complete good-generations 2>/dev/null)"}} }}
_holdfast_images() {{ compadd -- ${{(f)"$(holdfast __complete images 2>/dev/null)"}} }}
_holdfast_any() {{ _holdfast_generations; _holdfast_services }}
_holdfast_sides() {{ _holdfast_generations; _files }}
_holdfast() {{
  local -a commands
  local state line
  commands=(
{commands}  )
  _arguments -C{global} '1:command:->command' '*::argument:->argument'
  case $state in
    command) _describe command commands ;;
    argument)
      case $line[1] in
{cases}      esac ;;
  esac
}}
if [ "$funcstack[1]" = _holdfast ]; then _holdfast "$@"; else compdef _holdfast holdfast; fi
)sh",
                     fmt::arg("commands", commands), fmt::arg("global", zsh_options(tree.options)),
                     fmt::arg("cases", cases));
}

namespace {

std::string fish_option(const OptionInfo& option, const std::string& condition) {
  std::string text = "complete -c holdfast" + condition;
  for (const auto& name : option.names)
    text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  text += " -d " + shell_quoted(option.description);
  if (!option.takes_value) return text + "\n";
  if (takes_file(option)) return text + " -r -F\n";
  if (!option.choices.empty())
    return text + " -x -a " + shell_quoted(joined(option.choices, " ")) + "\n";
  return text + (takes_generation(option)
                     ? " -x -a '(holdfast __complete good-generations 2>/dev/null)'\n"
                     : " -x\n");
}

std::string fish_words(const CommandInfo& command) {
  constexpr std::string_view kServices = "(holdfast __complete services 2>/dev/null)";
  constexpr std::string_view kGenerations = "(holdfast __complete generations 2>/dev/null)";
  switch (words_for(command)) {
    case Words::files:
      return " -F";
    case Words::services:
      return command.name == "show" ? fmt::format(" -a '{} {}'", kGenerations, kServices)
                                    : fmt::format(" -a '{}'", kServices);
    case Words::generations:
      return fmt::format(" -F -a '{}'", kGenerations);
    case Words::shells:
      return " -a 'bash zsh fish'";
    case Words::images:
      return fmt::format(" -a '{} (holdfast __complete images 2>/dev/null)'",
                         joined(names_of(command.commands), " "));
    case Words::none:
      return command.commands.empty()
                 ? ""
                 : fmt::format(" -a '{}'", joined(names_of(command.commands), " "));
  }
  return {};
}

}  // namespace

std::string fish_completion(const CommandInfo& tree) {
  std::string text =
      "# fish completion for holdfast, made by: holdfast completion fish\ncomplete -c holdfast "
      "-f\n";
  for (const auto& option : tree.options) text += fish_option(option, "");
  for (const auto& command : tree.commands) {
    text += fmt::format("complete -c holdfast -n __fish_use_subcommand -a {} -d {}\n", command.name,
                        shell_quoted(command.description));
    const auto condition = fmt::format(" -n '__fish_seen_subcommand_from {}'", command.name);
    for (const auto& option : options_of(command)) text += fish_option(option, condition);
    if (const auto words = fish_words(command); !words.empty())
      text += "complete -c holdfast" + condition + words + "\n";
  }
  return text;
}

std::string completion_word(std::string_view word) {
  const bool safe = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
  return safe ? std::string{word} + "\n" : std::string{};
}

}  // namespace holdfast::agent::cli
