#include "deploy/runtime/exec_end.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <cctype>

#include "common/base/text.hpp"
#include "deploy/runtime/host/oci_runtime.hpp"

namespace holdfast::deploy::runtime {
namespace {

namespace api = proto::api;

constexpr std::uint64_t kNotExecutable = 126;
constexpr std::uint64_t kNotThere = 127;
constexpr std::uint8_t kKilled = 128 + SIGKILL;

api::ErrorBody body_of(const Error& error) {
  return {std::string{code(error.code())}, error.what(), error.next_step()};
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

/// By what runc and crun say; both wrap the error of the kernel.
api::ExecEnd not_started(const std::string& log) {
  auto reason = runtime_reason(log, {});
  constexpr std::string_view kNoise = "exec failed: ";
  if (reason.starts_with(kNoise)) reason.erase(0, kNoise.size());
  const auto text = lower(reason);
  const auto has = [&](std::string_view part) { return text.find(part) != std::string::npos; };
  const bool in_directory = has("chdir") || has("cwd");
  if (!in_directory && has("not found in $path"))
    return {kNotThere,
            body_of(Error{Errc::not_found, reason}.hint(
                "the program has to be in the image: holdfast exec SERVICE -- ls /bin"))};
  if (!in_directory && has("no such file or directory"))
    return {kNotThere,
            body_of(Error{Errc::not_found, reason}.hint(
                "the program, or the interpreter or loader that it names, is not in the image"))};
  if (in_directory)
    return {kNotExecutable, body_of(Error{Errc::runtime, reason}.hint(
                                "name a directory of the instance with --workdir"))};
  if (has("permission denied") || has("exec format error") || has("is a directory"))
    return {kNotExecutable, body_of(Error{Errc::runtime, reason}.hint(
                                "check the program's mode and for which machine it was built"))};
  return {0, body_of(runtime_error(reason))};
}

api::ExecEnd killed(const Error& why) { return {kKilled, body_of(why)}; }

api::ExecEnd exited(const ExecOutcome& outcome, std::uint8_t code) {
  if (code != kKilled || !outcome.instance_ended) return {code, std::nullopt};
  return killed(session_ended(outcome.instance, "has ended"));
}

/// Whatever a shell says of itself after its children were killed.
api::ExecEnd ended_by(api::ExecStop stop) {
  switch (stop) {
    case api::ExecStop::client_gone:
      return killed(Error{Errc::cancelled, "the client went away"});
    case api::ExecStop::slow_client:
      return killed(Error{Errc::timed_out, "the client did not take all of its output"});
    case api::ExecStop::idle:
      return killed(Error{Errc::timed_out, "nothing came from either side for 4 h"});
    case api::ExecStop::bad_frame:
      return killed(Error{Errc::usage, "the client sent what is no frame of a session"}.hint(
          "check that client and agent have the same version: holdfast version"));
    case api::ExecStop::exited:
    case api::ExecStop::told:
    case api::ExecStop::not_started:
      break;
  }
  return exec_end(Error{Errc::internal, "the process of the session ended without a word"});
}

}  // namespace

Error session_ended(const InstanceId& id, std::string_view reason) {
  return Error{Errc::conflict, fmt::format("{} {}: the session has ended", id.str(), reason)}.hint(
      "holdfast status names the instance that serves");
}

api::ExecEnd agent_ended() {
  return exec_end(Error{Errc::unreachable, "the agent has ended, and the session with it"}.hint(
      "the service goes on; when the agent is back, begin again"));
}

api::ExecEnd exec_end(const Error& error) { return {0, body_of(error)}; }

bool may_be_by_the_instance(const api::ExecReport& report) {
  return report.stop == api::ExecStop::not_started ||
         (report.stop == api::ExecStop::exited && report.code == kKilled);
}

api::ExecEnd exec_end(const ExecOutcome& outcome) {
  if (outcome.report && outcome.report->stop == api::ExecStop::exited)
    return exited(outcome, outcome.report->code);
  if (!outcome.told.empty()) return killed(session_ended(outcome.instance, outcome.told));
  if (!outcome.report) return ended_by(api::ExecStop::told);
  if (outcome.report->stop != api::ExecStop::not_started) return ended_by(outcome.report->stop);
  return outcome.instance_ended ? exec_end(session_ended(outcome.instance, "has ended"))
                                : not_started(outcome.runtime_log);
}

}  // namespace holdfast::deploy::runtime
