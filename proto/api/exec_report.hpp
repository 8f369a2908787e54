#pragma once
/// \file
/// How the process that carries an exec session (agent/exec) tells the agent what became of it: one
/// line of words. Pure; not thread safe.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proto/words.hpp"

namespace holdfast::proto {
namespace api {

enum class ExecStop : std::uint8_t {
  exited,       ///< the command, by itself or by a signal
  told,         ///< the agent had told it to end
  not_started,  ///< there was no command
  client_gone,
  slow_client,  ///< it did not take all that was for it
  bad_frame,
  idle,
};

}  // namespace api

template <>
struct Words<api::ExecStop> {
  static constexpr std::array<std::string_view, 7> kAll{
      "exited", "told", "not_started", "client_gone", "slow_client", "bad_frame", "idle"};
};

namespace api {

struct ExecReport {
  ExecStop stop = ExecStop::exited;
  std::uint8_t code =
      0;              ///< of the command, 128 + the signal that ended it; 0 where there was none
  std::string error;  ///< of `not_started`: an error's code, "E_RUNTIME"
  bool operator==(const ExecReport&) const = default;
};

/// The longest line, its end included.
inline constexpr std::size_t kMostOfExecReport = 256;

[[nodiscard]] std::string exec_report_line(const ExecReport& report);
/// None: this is no such line, or only the beginning of one.
[[nodiscard]] std::optional<ExecReport> exec_report_of(std::string_view line);

}  // namespace api
}  // namespace holdfast::proto
