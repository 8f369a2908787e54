#pragma once
/// \file
/// The sessions of all instances: where one may begin, and what ends them.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "common/base/result.hpp"
#include "deploy/runtime/exec_session.hpp"
#include "deploy/runtime/host/host.hpp"
#include "deploy/runtime/record/record.hpp"
#include "proto/api/messages.hpp"

namespace holdfast::deploy::runtime {

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

  /// Ends what sessions of an earlier life of the agent left in these instances, within two seconds
  /// in all, and removes their files.
  void sweep(const std::set<InstanceId>& ids) const;
  /// The beginning of the variable by which processes of sessions are known, with what only this
  /// agent and they know: no document and no image can name it.
  [[nodiscard]] const std::string& marks() const { return marks_; }

 private:
  friend class ExecSession;
  [[nodiscard]] Status enter(ExecSession& session);
  void leave(ExecSession& session);

  const Host& host_;
  const std::string marks_;
  const std::string life_;  ///< of the agent
  std::atomic<std::uint64_t> sequence_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<InstanceId, ExecSession*> running_;
  std::multimap<InstanceId, std::string> shut_;  ///< why
};

}  // namespace holdfast::deploy::runtime
