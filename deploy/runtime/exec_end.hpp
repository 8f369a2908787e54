#pragma once
/// \file
/// How a session ended, as its client and the ledger are told. Pure.

#include <optional>
#include <string>
#include <string_view>

#include "common/base/error.hpp"
#include "deploy/runtime/record/record.hpp"
#include "proto/api/exec_report.hpp"
#include "proto/api/messages.hpp"

namespace holdfast::deploy::runtime {

/// What is known when the process of a session (agent/exec) has ended.
struct ExecOutcome {
  InstanceId instance;
  std::optional<proto::api::ExecReport> report;  ///< none: it said nothing that is one
  std::string told;                              ///< why it was told to end; empty: it was not
  bool instance_ended = false;
  std::string runtime_log;  ///< of the runtime, where the command did not begin
};

/// Whether the instance that ends is all there may be to it: the kernel kills what is in an
/// instance before its first process is gone, and that one may be seen to run for a moment after.
[[nodiscard]] bool may_be_by_the_instance(const proto::api::ExecReport& report);

/// The code of the command, or 126 and 127 as a shell says them: a program that cannot be run, and
/// one that is not there. 137 with the reason where the session was ended.
[[nodiscard]] proto::api::ExecEnd exec_end(const ExecOutcome& outcome);
/// For an error that came before there was a command.
[[nodiscard]] proto::api::ExecEnd exec_end(const Error& error);

/// "web-1 is stopped: the session has ended"; `reason` follows the instance's name.
[[nodiscard]] Error session_ended(const InstanceId& id, std::string_view reason);

/// What a client hears where the agent is there no more to say it.
[[nodiscard]] proto::api::ExecEnd agent_ended();

}  // namespace holdfast::deploy::runtime
