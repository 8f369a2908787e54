#pragma once
/// \file
/// Commands that operators run in an instance, each carried by a process of its own
/// (agent/exec/README.md).

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>

#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"
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
  /// cancelled (the client went, or the agent stops), conflict (the instance ends or is frozen),
  /// usage (not frames), timed_out (nothing moved, or nobody reads), runtime.
  [[nodiscard]] proto::api::ExecEnd run(os::UniqueFd client, const std::stop_token& stop);
  [[nodiscard]] const InstanceId& instance() const { return asked_.id; }

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
  ExecSession(ExecSessions& sessions, Asked asked, std::string number);

  [[nodiscard]] Result<std::string> supervise(int client, const std::stop_token& stop);
  [[nodiscard]] proto::api::ExecEnd end_of(const Result<std::string>& outcome) const;
  [[nodiscard]] proto::api::ExecEnd not_started() const;
  [[nodiscard]] std::filesystem::path file(std::string_view what) const;
  [[nodiscard]] std::string mark() const;
  void tell(const std::string& reason);

  ExecSessions& sessions_;
  Asked asked_;
  std::string number_;  ///< of the session: in names of files and in the mark
  std::mutex mutex_;
  os::UniqueFd control_;  ///< a byte into it ends the session
  std::string reason_;    ///< why it was told to end; empty: it was not
};

/// Thread safe. `host` outlives it; it outlives its sessions.
class ExecSessions {
 public:
  explicit ExecSessions(const Host& host);

  /// `request` is checked already (requests::check_exec); its `instance` is named. Errors:
  /// not_found (no such instance of the service), conflict (it does not run), user, usage.
  [[nodiscard]] Result<std::unique_ptr<ExecSession>> prepare(
      const proto::api::ExecRequest& request);

  /// Ends the sessions of an instance, within a second as a rule; none begins until what it returns
  /// is gone. `reason` follows the instance's name.
  [[nodiscard]] std::shared_ptr<void> shut(const InstanceId& id, const std::string& reason);

  /// Ends what sessions of an earlier life of the agent left in these instances.
  void sweep(const std::set<InstanceId>& ids) const;

 private:
  friend class ExecSession;
  [[nodiscard]] Status enter(ExecSession& session);
  void leave(ExecSession& session);

  const Host& host_;
  const std::string life_;  ///< of the agent
  std::atomic<std::uint64_t> sequence_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<InstanceId, ExecSession*> running_;
  std::multimap<InstanceId, std::string> shut_;  ///< why
};

}  // namespace holdfast::deploy::runtime
