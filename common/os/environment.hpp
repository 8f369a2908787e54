#pragma once
/// \file
/// The environment of this process: read here and nowhere else.

#include <optional>
#include <string>

namespace holdfast::os {

/// Value of an environment variable; none when it is not set. Thread safe as long as nobody changes
/// the environment.
[[nodiscard]] std::optional<std::string> environment(const char* name);

}  // namespace holdfast::os
