#pragma once
#include <string>
#include <variant>

#include "deploy/engine/state/parts.hpp"
#include "deploy/requests/exec_request.hpp"

namespace holdfast::deploy::engine {

/// Stops, starts and restarts single services on an operator's word. Engine thread only. Errors of
/// all: not_found (no such service is declared), conflict (a rollout is under way), usage (no
/// reason for a stop, an unusable time), those of the ledger.
class ServiceCommands {
 public:
  explicit ServiceCommands(Parts& parts) : parts_(parts) {}

  /// It stays stopped, through rollouts and reboots, until it is started or the time comes. Safe to
  /// repeat: the newer reason and time hold.
  Result<proto::api::ServiceChange> stop(const proto::api::ServiceStopRequest& request,
                                         const Actor& actor);
  /// Ends a stop, and starts what has ended. Nothing where it runs.
  Result<proto::api::ServiceChange> start(const proto::api::ServiceStartRequest& request,
                                          const Actor& actor);
  /// Ends its process by its own stop rule and starts it again, in the same instance; what is
  /// stopped or has completed is started. Each call is another restart.
  Result<proto::api::ServiceChange> restart(const proto::api::ServiceRestartRequest& request,
                                            const Actor& actor);
  /// An entry for a command of an operator in an instance; nothing else changes. Errors: those of
  /// the ledger alone.
  Result<std::monostate> record_exec(const requests::ExecRecord& record, const Actor& actor);

 private:
  /// The service may be changed now. Its instance as it is seen; null: there is none.
  [[nodiscard]] Result<const plan::InstanceView*> find(const std::string& service) const;
  [[nodiscard]] Result<proto::api::ServiceChange> begin(proto::EntryKind kind,
                                                        const std::string& service,
                                                        const std::string& reason,
                                                        const Actor& actor);
  [[nodiscard]] proto::api::ServiceChange change(const std::string& service,
                                                 const plan::InstanceView* view) const;

  Parts& parts_;
};

}  // namespace holdfast::deploy::engine
