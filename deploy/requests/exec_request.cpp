#include "deploy/requests/exec_request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string_view>

#include "common/base/text.hpp"

namespace holdfast::deploy::requests {
namespace {

constexpr std::size_t kMostName = 256;  ///< of a user, as in `users` of a document
constexpr std::size_t kMostPath = 4'096;
constexpr std::size_t kMostRecordedNames = 500;

bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

Error wrong(std::string_view member, std::string_view what) {
  return Error{Errc::usage, fmt::format("exec: {} {}", member, what)};
}

Status check_command(const proto::api::ExecRequest& request) {
  if (request.command.empty() || request.command.front().empty())
    return wrong("command", "is empty").hint("holdfast exec SERVICE -- PROGRAM ARGUMENTS");
  if (request.command.size() > kMostExecArguments)
    return wrong("command", fmt::format("has {} arguments, {} are the most", request.command.size(),
                                        kMostExecArguments));
  for (const auto& argument : request.command)
    if (has_nul(argument)) return wrong("command", "contains a NUL byte");
  return ok();
}

Status check_variables(const proto::api::ExecRequest& request) {
  if (request.env.size() > kMostExecVariables)
    return wrong("env", fmt::format("has {} variables, {} are the most", request.env.size(),
                                    kMostExecVariables));
  for (const auto& entry : request.env) {
    const auto equals = entry.find('=');
    if (equals == std::string::npos || equals == 0)
      return wrong(
          "env",
          fmt::format("\"{}\" is not NAME=value",
                      printable(entry.substr(0, std::min<std::size_t>(entry.size(), kMostName)))));
    if (has_nul(entry)) return wrong("env", "contains a NUL byte");
  }
  return ok();
}

Status check_size(const proto::api::ExecRequest& request) {
  std::size_t bytes = 0;
  for (const auto& argument : request.command) bytes += argument.size() + 1;
  for (const auto& entry : request.env) bytes += entry.size() + 1;
  if (bytes <= kMostExecBytes) return ok();
  return wrong("command and env",
               fmt::format("have {} bytes, {} are the most", bytes, kMostExecBytes))
      .hint("send what is long as input: holdfast exec -i SERVICE -- sh < script");
}

std::string shortened(std::string text, std::size_t most) {
  if (text.size() <= most) return text;
  return well_formed(std::string_view{text}.substr(0, most)) + "…";
}

/// As a shell would show it: quoted where a blank or a quote is in it.
std::string shown(const std::string& argument) {
  const bool plain = !argument.empty() && argument.find_first_of(" \t\n'\"\\") == std::string::npos;
  return plain ? argument : "'" + argument + "'";
}

}  // namespace

Status check_exec(const proto::api::ExecRequest& request) {
  HF_TRY(check_command(request));
  HF_TRY(check_variables(request));
  HF_TRY(check_size(request));
  if (request.user.size() > kMostName || has_nul(request.user))
    return wrong("user", "is not user[:group]");
  if (!request.workdir.empty() && (request.workdir.front() != '/' || has_nul(request.workdir) ||
                                   request.workdir.size() > kMostPath))
    return wrong("workdir", "is not an absolute path");
  constexpr std::uint64_t kMostCells = std::numeric_limits<std::uint16_t>::max();
  if (request.rows > kMostCells || request.columns > kMostCells)
    return wrong("rows and columns", "are not the size of a terminal");
  return ok();
}

std::map<std::string, std::string> exec_details(const proto::api::ExecRequest& request) {
  std::string command;
  for (const auto& argument : request.command) {
    command += (command.empty() ? "" : " ") + shown(argument);
    if (command.size() > kMostRecordedCommand) break;
  }
  std::map<std::string, std::string> detail;
  detail["command"] = shortened(printable(command), kMostRecordedCommand);
  std::string names;
  for (const auto& entry : request.env)
    names += (names.empty() ? "" : " ") + entry.substr(0, entry.find('='));
  if (!names.empty()) detail["env"] = shortened(printable(names), kMostRecordedNames);
  if (!request.user.empty()) detail["user"] = printable(request.user);
  if (!request.workdir.empty())
    detail["workdir"] = shortened(printable(request.workdir), kMostRecordedNames);
  if (request.terminal) detail["terminal"] = "yes";
  return detail;
}

}  // namespace holdfast::deploy::requests
