#include "agent/cli/commands.hpp"

namespace holdfast::agent::cli {
ExitCode run_command(const Context&, const DoctorOptions&) { return ExitCode::error; }
}  // namespace holdfast::agent::cli
