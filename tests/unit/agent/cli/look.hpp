// What the tests of the command line look at the world through: a terminal of 80 columns, at noon.
#pragma once

#include "agent/cli/render/look.hpp"
#include "common/base/clock.hpp"

namespace holdfast::agent::cli {

inline const WallTime kNow = *parse_rfc3339("2026-11-23T12:00:00Z");
inline const Look kTerminal{.terminal = true, .colour = false, .utf8 = true, .width = 80};

}  // namespace holdfast::agent::cli
