#pragma once
/// \file
/// One command of an operator in an instance, carried by a process of its own
/// (agent/exec/README.md).

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"
#include "common/os/process.hpp"
#include "common/os/unique_fd.hpp"
#include "deploy/runtime/exec_end.hpp"
#include "deploy/runtime/host/host.hpp"
#include "deploy/runtime/record/record.hpp"
#include "proto/api/messages.hpp"

namespace holdfast::deploy::runtime {

class ExecSessions;

/// One that may begin: the instance is there and what was asked for can be had. Its files go with
/// it.
class ExecSession {
 public:
  ~ExecSession();
  ExecSession(const ExecSession&) = delete;
  ExecSession& operator=(const ExecSession&) = delete;

  /// Until the command, the client, the instance or `stop` ends it; the client is told how, and
  /// nothing of it runs on. Blocks. The error of the answer says why it did not run to its end:
  /// cancelled (the client went), conflict (the instance ends or is frozen, the agent stops), usage
  /// (not frames), timed_out (nothing moved, or nobody reads), not_found, runtime, internal.
  [[nodiscard]] proto::api::ExecEnd run(os::UniqueFd client, const std::stop_token& stop);
  [[nodiscard]] const InstanceId& instance() const { return asked_.id; }
  /// No other of this agent has it, in any of its lives of this boot.
  [[nodiscard]] const std::string& number() const { return number_; }

 private:
  friend class ExecSessions;
  struct Asked {
    InstanceId id;
    ProcessId init;
    bool input = false;
    bool terminal = false;
    std::uint64_t rows = 0;
    std::uint64_t columns = 0;
  };
  /// Our ends of the pipes to the process that carries it, and itself.
  struct Carrier {
    os::Process process;
    os::UniqueFd result;
  };
  ExecSession(ExecSessions& sessions, const Host& host, Asked asked, std::string number);

  [[nodiscard]] Result<std::optional<proto::api::ExecReport>> supervise(
      int client, const std::stop_token& stop);
  [[nodiscard]] std::vector<std::string> arguments(const std::string& console) const;
  [[nodiscard]] Result<Carrier> start(int client, const std::string& console);
  [[nodiscard]] std::optional<proto::api::ExecReport> await_report(const Carrier& carrier);
  [[nodiscard]] ExecOutcome outcome(std::optional<proto::api::ExecReport> report) const;
  [[nodiscard]] std::filesystem::path file(std::string_view what) const;
  [[nodiscard]] std::filesystem::path processes() const;
  [[nodiscard]] std::string mark() const;
  [[nodiscard]] pid_t command_pid() const;
  /// From any thread; the first reason counts.
  void tell(const std::string& reason);

  ExecSessions& sessions_;
  const Host& host_;
  Asked asked_;
  std::string number_;  ///< of the session: in names of files and in the mark
  mutable std::mutex mutex_;
  os::UniqueFd control_;  ///< a byte into it ends the session
  std::string reason_;    ///< why it was told to end; empty: it was not
};

}  // namespace holdfast::deploy::runtime
