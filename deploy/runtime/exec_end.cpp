#include "deploy/runtime/exec_end.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "common/base/text.hpp"
#include "deploy/runtime/host/oci_runtime.hpp"

namespace holdfast::deploy::runtime {
namespace {

namespace api = proto::api;

constexpr std::uint64_t kNotExecutable = 126;
constexpr std::uint64_t kNotThere = 127;
constexpr std::uint64_t kKilled = 128 + SIGKILL;

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

/// Why a session was ended that did not end by itself; empty: it did.
std::string ended_because(std::string_view word) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kWhy{
      {{"client_gone", "the client went away"},
       {"slow_client", "the client did not take all of its output"},
       {"idle", "nothing came from either side for 4 h"}}};
  for (const auto& [known, why] : kWhy)
    if (known == word) return std::string{why};
  return {};
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

api::ExecEnd exec_end(const ExecOutcome& outcome) {
  const auto words = split(trim(outcome.line), ' ');
  const auto word = words.front();
  if (word == "not_started" && outcome.told.empty())
    return outcome.instance_ended ? exec_end(session_ended(outcome.instance, "has ended"))
                                  : not_started(outcome.runtime_log);
  if (word == "exited") {
    const auto number = parse_number(words.back());
    api::ExecEnd end{number ? *number : kKilled, std::nullopt};
    if (end.exit_code == kKilled && outcome.instance_ended)
      end.error = body_of(session_ended(outcome.instance, "has ended"));
    return end;
  }
  // Whatever a shell says of itself after its children were killed.
  if (!outcome.told.empty())
    return {kKilled, body_of(session_ended(outcome.instance, outcome.told))};
  if (word == "bad_frame")
    return {kKilled,
            body_of(Error{Errc::usage, "the client sent what is no frame of a session"}.hint(
                "check that client and agent have the same version: holdfast version"))};
  if (const auto why = ended_because(word); !why.empty())
    return {kKilled,
            body_of(Error{word == "client_gone" ? Errc::cancelled : Errc::timed_out, why})};
  return exec_end(Error{Errc::internal, "the process of the session ended without a word"});
}

}  // namespace holdfast::deploy::runtime
