#pragma once
/// \file
/// process.json for another process in an instance (packaging/doc/security.md T-56). Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "deploy/runtime/spec/user.hpp"

namespace holdfast::deploy::runtime {

/// The size of a terminal; none: the process has no terminal.
struct ConsoleSize {
  std::uint16_t rows = 0;
  std::uint16_t columns = 0;
};

/// What differs from the first process of the instance.
struct ExecProcess {
  std::vector<std::string> args;
  std::vector<std::string> env{};  ///< "NAME=value", besides the others or in their place
  std::optional<User> user{};
  std::string cwd{};  ///< empty: the same
  std::optional<ConsoleSize> console{};
};

/// From the config.json of the instance: what is not named in `process` is as there, numeric user,
/// environment, capabilities, limits. Another user has of the capabilities what the first process
/// would have as that user: those that are ambient, or as root those that may be had at all.
/// Errors: io.
[[nodiscard]] Result<std::string> exec_process_json(const std::string& config,
                                                    const ExecProcess& process);

}  // namespace holdfast::deploy::runtime
