#pragma once
#include <string>
#include <vector>

namespace holdfast::agent::cli {

/// The whole program: `args` without the program's name. Returns its exit code.
[[nodiscard]] int run(const std::vector<std::string>& args);

}  // namespace holdfast::agent::cli
