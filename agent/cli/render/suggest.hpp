#pragma once
/// \file
/// Words for a command line that was not understood, with what was probably meant.

#include <string>
#include <string_view>
#include <vector>

namespace holdfast::agent::cli {

/// The message for an unknown command of `parent` ("holdfast", "holdfast ledger"), empty when the
/// first word is a known one or there is none (options alone).
[[nodiscard]] std::string unknown_command(std::string_view parent,
                                          const std::vector<std::string>& args,
                                          const std::vector<std::string>& commands);

/// "error: …" for what CLI11 says about the options of `command` ("holdfast apply"); an unknown
/// flag gets the nearest of `flags`.
[[nodiscard]] std::string usage_message(std::string_view command, std::string_view what,
                                        const std::vector<std::string>& flags);

}  // namespace holdfast::agent::cli
