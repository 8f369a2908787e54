#pragma once
#include <string>

#include "agent/cli/completion/scripts.hpp"

namespace holdfast::agent::cli {

/// holdfast(1), in man(7): every command with its options and examples, as the help has them.
[[nodiscard]] std::string manual_page(const CommandInfo& tree);

}  // namespace holdfast::agent::cli
