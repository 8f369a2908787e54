#pragma once
/// \file
/// The client's side of an exec session: standard input to the agent, what comes to standard output
/// and error, and the size of the terminal.

#include <cstdint>

#include "agent/cli/client/http_client.hpp"
#include "common/base/result.hpp"
#include "proto/api/messages.hpp"

namespace holdfast::agent::cli {

enum class ExecInput : std::uint8_t { none, standard };
enum class ExecTerminal : std::uint8_t { none, standard };

struct ExecStreams {
  ExecInput input = ExecInput::none;
  ExecTerminal terminal = ExecTerminal::none;
};

/// Until the agent says how the command ended. With a terminal, standard input is raw meanwhile and
/// restored whatever happens. Holds one frame of each direction: who is slow is waited for. SIGINT,
/// SIGTERM, SIGHUP and SIGQUIT end it. Errors: cancelled, unreachable (the connection broke off),
/// internal (no frames), io (standard output cannot be written).
[[nodiscard]] Result<proto::api::ExecEnd> carry_exec(Connection connection,
                                                     const ExecStreams& streams);

}  // namespace holdfast::agent::cli
