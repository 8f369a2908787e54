#pragma once
/// \file
/// The images on this host.

#include <string>
#include <vector>

#include "agent/cli/commands/command.hpp"
#include "agent/cli/commands/context.hpp"

namespace holdfast::agent::cli {

struct ImageOptions {
  static constexpr bool kOutlivesUs = true;
  enum class Action : std::uint8_t {
    list,
    pull,
    verify,
    gc,
    export_,
    import
  } action = Action::list;
  std::string reference;            ///< pull, export; import: the name to remember
  std::string keep;                 ///< pull, import: span; empty: the agent's default
  std::vector<std::string> images;  ///< verify; empty: all
  bool all = false;
  bool repair = false;
  bool dry_run = false;  ///< gc
  std::string file;      ///< export, import
};

[[nodiscard]] ExitCode run_command(const Context& context, const ImageOptions& options);

[[nodiscard]] std::unique_ptr<Command> add_image(CLI::App& app);

}  // namespace holdfast::agent::cli
