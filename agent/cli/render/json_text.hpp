#pragma once
/// \file
/// JSON as `--output json` prints it: valid, stable, and safe to show on a terminal.

#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace holdfast::agent::cli {

/// Indented by two blanks, one line end at the end. Characters that move the cursor or reorder text
/// become \uXXXX; so do bytes that are not UTF-8 (U+FFFD). Errors: internal, when `json` is none.
[[nodiscard]] Result<std::string> pretty_json(std::string_view json);
/// The same on one line, with a line end: for streams of objects.
[[nodiscard]] Result<std::string> json_line(std::string_view json);

}  // namespace holdfast::agent::cli
