#pragma once
/// \file
/// Times for people: relative, one unit.

#include <string>
#include <string_view>

#include "common/base/clock.hpp"

namespace holdfast::agent::cli {

/// "12s", "3m", "5h", "12d" since the RFC 3339 time `since`; "-" when it is empty or not a time;
/// "0s" for the future.
[[nodiscard]] std::string age(std::string_view since, WallTime now);
/// "3m ago", "now" below one second, the time itself when it is not one or more than a minute
/// ahead.
[[nodiscard]] std::string ago(std::string_view time, WallTime now);
/// "0.14s", "2.1s", "3m20s".
[[nodiscard]] std::string seconds_text(double seconds);
/// "90s", "5m", "1h30m", "2d", or plain seconds. Errors: usage.
[[nodiscard]] Result<Milliseconds> parse_span(std::string_view text);
/// `--since`: a span before `now`, or an RFC 3339 time. Errors: usage.
[[nodiscard]] Result<WallTime> parse_since(std::string_view text, WallTime now);

}  // namespace holdfast::agent::cli
