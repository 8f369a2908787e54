#pragma once
/// \file
/// A slice of the command line: it registers its options and runs with what was given.

#include <memory>
#include <string>

#include "agent/cli/render/exit_code.hpp"

namespace CLI {
class App;
}

namespace holdfast::agent::cli {

struct Context;

/// What was asked for, ready to run. None throws.
class Command {
 public:
  virtual ~Command() = default;
  [[nodiscard]] virtual ExitCode run(const Context& context) const = 0;
  /// It begins something that goes on when this program ends, and Ctrl-C has to say so; everything
  /// else may just end.
  [[nodiscard]] virtual bool outlives_us() const { return false; }
};

/// The command of these options; `run_command(context, options)` does it. Options may say
/// `kOutlivesUs`.
template <class Options>
class CommandOf final : public Command {
 public:
  [[nodiscard]] ExitCode run(const Context& context) const override {
    return run_command(context, options);
  }
  [[nodiscard]] bool outlives_us() const override {
    return requires { Options::kOutlivesUs; };
  }

  Options options;
};

/// How `apply` and `rollback` wait for the end.
struct WaitOptions {
  bool no_wait = false;
  std::string timeout = "5m";
};
/// When something ends by itself: at most one of the two.
struct EndOptions {
  std::string until;  ///< RFC 3339
  std::string span;   ///< from now
};

}  // namespace holdfast::agent::cli
