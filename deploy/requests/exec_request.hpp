#pragma once
/// \file
/// What an exec may ask for, and what the ledger keeps of it. Pure.

#include <cstddef>
#include <map>
#include <string>

#include "common/base/result.hpp"
#include "proto/api/messages.hpp"
#include "proto/ledger/entry.hpp"

namespace holdfast::deploy::requests {

inline constexpr std::size_t kMostExecArguments = 1'024;
inline constexpr std::size_t kMostExecVariables = 256;
inline constexpr std::size_t kMostExecBytes = 60U << 10;  ///< arguments and variables together
inline constexpr std::size_t kMostRecordedCommand = 1'000;

/// The begin or the end of a command in an instance, for the ledger.
struct ExecRecord {
  proto::EntryKind kind = proto::EntryKind::exec_started;
  std::string service;
  std::map<std::string, std::string> detail;  ///< bounded and printable
};

/// Errors: usage, naming the member.
[[nodiscard]] Status check_exec(const proto::api::ExecRequest& request);

/// The details of its entry but for the instance: the command, printable and bounded; of the
/// environment the names only.
[[nodiscard]] std::map<std::string, std::string> exec_details(
    const proto::api::ExecRequest& request);

}  // namespace holdfast::deploy::requests
