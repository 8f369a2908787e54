#include "agent/cli/commands/completion.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "agent/cli/commands/options.hpp"
#include "agent/cli/commands/register.hpp"
#include "agent/cli/completion/manual.hpp"
#include "agent/cli/completion/scripts.hpp"

namespace holdfast::agent::cli {
namespace {

/// A shell waits for this: an agent that is slow gives no words.
constexpr Milliseconds kPatience{200};

}  // namespace

ExitCode run_command(const Context&, const CompletionOptions& options) {
  const auto tree = command_tree();
  print(options.shell == "zsh"    ? zsh_completion(tree)
        : options.shell == "fish" ? fish_completion(tree)
                                  : bash_completion(tree));
  return ExitCode::done;
}

ExitCode run_command(const Context& context, const CompleteOptions& options) {
  std::string words;
  if (options.what == "services") {
    if (const auto status = context.agent.call<"status">({}, {.timeout = kPatience}))
      for (const auto& service : status->value.services) words += completion_word(service.name);
  } else if (options.what == "images") {
    if (const auto images = context.agent.call<"images">({}, {.timeout = kPatience}))
      for (const auto& image : images->value) words += completion_word(image.digest.substr(7, 12));
  } else if (const auto history = context.agent.call<"history">({}, {.timeout = kPatience})) {
    for (const auto& item : history->value)
      if (options.what != "good-generations" || item.result == "good")
        words += fmt::format("{}\n", item.generation);
  }
  print(words);
  return ExitCode::done;
}

ExitCode run_command(const Context&, const ManualOptions&) {
  print(manual_page(command_tree()));
  return ExitCode::done;
}

std::unique_ptr<Command> add_manual(CLI::App& app) {
  app.add_subcommand("__man", "")->group("");
  return std::make_unique<CommandOf<ManualOptions>>();
}

std::unique_ptr<Command> add_completion(CLI::App& app) {
  auto made = std::make_unique<CommandOf<CompletionOptions>>();
  auto& options = made->options;
  auto* completion = subcommand(app, "completion", "Completions for a shell",
                                "  holdfast completion bash > /etc/bash_completion.d/holdfast\n"
                                "  source <(holdfast completion bash)");
  completion->add_option("shell", options.shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->type_name("SHELL");
  return made;
}

std::unique_ptr<Command> add_complete(CLI::App& app) {
  auto made = std::make_unique<CommandOf<CompleteOptions>>();
  auto& options = made->options;
  auto* complete = app.add_subcommand("__complete", "")->group("");
  complete->add_option("what", options.what)->required();
  return made;
}

}  // namespace holdfast::agent::cli
