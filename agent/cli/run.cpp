#include "agent/cli/run.hpp"

#include <unistd.h>

#include <cstdio>
#include <optional>

#include "agent/cli/client/interrupt.hpp"
#include "agent/cli/commands/context.hpp"
#include "agent/cli/commands/options.hpp"

namespace holdfast::agent::cli {
namespace {

ExitCode dispatch(const Invocation& invocation) {
  const SystemClock clock;
  const auto colours = invocation.globals.no_color ? Colours::never : Colours::automatic;
  std::optional<Interrupt> interrupt;
  if (invocation.command->outlives_us()) {
    if (auto installed = Interrupt::install()) interrupt = std::move(*installed);
  }
  AgentClient agent{clock, {invocation.globals.socket, interrupt ? interrupt->fd() : -1}};
  const Context context{invocation.globals, look_of(STDOUT_FILENO, colours),
                        look_of(STDERR_FILENO, colours), clock, agent};
  return invocation.command->run(context);
}

}  // namespace

int run(const std::vector<std::string>& args) {
  const auto parsed = parse_arguments(args);
  if (const auto* leave = std::get_if<Leave>(&parsed)) {
    print(leave->out);
    std::fputs(leave->err.c_str(), stderr);
    return static_cast<int>(leave->exit);
  }
  return static_cast<int>(dispatch(std::get<Invocation>(parsed)));
}

}  // namespace holdfast::agent::cli
