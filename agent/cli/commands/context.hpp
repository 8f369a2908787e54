#pragma once
/// \file
/// What every command works with, and how it speaks: results to stdout, words to stderr.

#include <string>
#include <string_view>

#include "agent/cli/client/agent_client.hpp"
#include "agent/cli/commands/globals.hpp"
#include "agent/cli/render/exit_code.hpp"
#include "agent/cli/render/look.hpp"
#include "common/base/clock.hpp"
#include "common/base/result.hpp"

namespace holdfast::agent::cli {

/// For what makes the agent read its whole ledger.
inline constexpr Milliseconds kReadsAll{600'000};

/// All outlive the command.
struct Context {
  const Globals& globals;
  Look out;
  Look err;
  const Clock& clock;
  AgentClient& agent;

  [[nodiscard]] bool json() const { return globals.output == Output::json; }
};

/// Result text, to stdout as it is.
void print(std::string_view text);
/// Words, to stderr as they are, unless --quiet.
void say(const Context& context, std::string_view text);
/// "error: …" and "  next: …" to stderr; the text from outside is made printable. The exit code
/// that fits.
ExitCode report(const Context& context, const Error& error);
/// The same for an error that came as a message.
void report(const Context& context, const proto::api::ErrorBody& error);
/// An answer's body as `--output json` prints it.
ExitCode print_json(const Context& context, std::string_view json);

}  // namespace holdfast::agent::cli
