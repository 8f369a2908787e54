#pragma once
/// \file
/// One line per event, `event=… key=value …`, to stderr; under systemd with its `<N>` priority
/// prefix. Levels: error = an operator must act; warn = degraded, will retry; info = state changes;
/// debug = steps. Never log bodies, headers or credentials.

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace holdfast::log {

enum class Level { debug, info, warn, error };

/// Once, before the first line. Thread safe afterwards.
void start(Level lowest);
[[nodiscard]] bool enabled(Level level);
void write(Level level, std::string_view line);

/// `value` as a log field: printable, quoted when it holds spaces or quotes.
[[nodiscard]] std::string field(std::string_view value);

template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::debug)) write(Level::debug, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::info)) write(Level::info, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::warn)) write(Level::warn, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::error, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace holdfast::log
