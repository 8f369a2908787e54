#pragma once
/// \file
/// Signing documents and roots of trust.

#include <string>
#include <string_view>
#include <vector>

#include "agent/cli/commands/command.hpp"
#include "agent/cli/commands/context.hpp"
#include "proto/trust/envelope.hpp"

namespace holdfast::agent::cli {

struct SignOptions {
  std::string file;
  std::vector<std::string> keys;
  std::string passphrase_file;
  std::uint64_t serial = 0;  ///< 0: one after the previous, else the document's own
  std::string previous;      ///< the document published before
  std::string root;          ///< whose signers are believed, in place of those of `keys`
  std::string expires = "30d";
  bool refresh = false;
  std::string out;
};

/// "30d" from now, or a point in time. Errors: usage (neither, or not after now).
[[nodiscard]] Result<WallTime> time_from(const std::string& text, WallTime now);
/// Writes it and says what it is. "-": to stdout, and nothing else there.
[[nodiscard]] ExitCode write_signed(const Context& context, const proto::trust::Envelope& envelope,
                                    const std::string& out);

[[nodiscard]] ExitCode run_command(const Context& context, const SignOptions& options);
[[nodiscard]] std::unique_ptr<Command> add_sign(CLI::App& app);

}  // namespace holdfast::agent::cli
