#pragma once
/// \file
/// The engine: owner of all mutable deployment state. One thread, one mailbox; jobs do the slow
/// work.

#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <variant>

#include "common/base/result.hpp"
#include "deploy/engine/snapshot.hpp"
#include "deploy/engine/state/events.hpp"
#include "deploy/engine/state/ports.hpp"
#include "deploy/requests/exec_request.hpp"

namespace holdfast::deploy::engine {

template <class T>
using Reply = std::function<void(Result<T>)>;  ///< called once, on any thread; must be quick

/// What a source has.
struct OfferedText {
  std::string document;  ///< YAML
  std::string source;
  /// Who signed it under which serial, for the ledger; empty: it needs no signature.
  std::map<std::string, std::string> evidence = {};
};

using requests::ExecRecord;

/// Thread safe but for `start` and `stop`. A call for a rollback is heard before all others;
/// documents are read on threads of their own, of one actor at most two at a time and eight in all.
class Engine {
 public:
  using Options = engine::Options;

  /// Loads state from the ledger; adopts what runs. No thread runs yet.
  [[nodiscard]] static Result<std::unique_ptr<Engine>> create(Ports ports, Options options);
  virtual ~Engine() = default;

  virtual void start() = 0;  ///< starts the engine thread and the job pool
  virtual void
  stop() = 0;  ///< finishes or abandons the current steps, joins; containers keep running

  [[nodiscard]] virtual std::shared_ptr<const Snapshot> snapshot() const = 0;
  [[nodiscard]] virtual EventLog& events() = 0;

  /// Accepts a document: parse, policy, quarantine, plan. The reply comes once it is durable,
  /// before the rollout.
  virtual void apply(proto::api::ApplyRequest request, Actor actor,
                     Reply<proto::api::Accepted> reply) = 0;
  virtual void rollback(proto::api::RollbackRequest request, Actor actor,
                        Reply<proto::api::Accepted> reply) = 0;
  /// What apply (document given) or rollback (`rollback_to`, 0: default target) would do. Touches
  /// nothing.
  /// Errors beside those of an apply: busy, when too many wait.
  virtual void plan_apply(proto::api::ApplyRequest request, Actor actor,
                          Reply<proto::api::PlanReport> reply) = 0;
  virtual void plan_rollback(proto::api::RollbackRequest request, Actor actor,
                             Reply<proto::api::PlanReport> reply) = 0;
  /// Stops changes until `resume` or a time; replaces a hold that is there.
  virtual void hold(proto::api::HoldRequest request, Actor actor,
                    Reply<proto::api::HoldStatus> reply) = 0;
  virtual void resume(proto::api::ResumeRequest request, Actor actor,
                      Reply<proto::api::Resumed> reply) = 0;
  virtual void quarantine(proto::api::QuarantineRequest request, Actor actor,
                          Reply<proto::api::QuarantineItem> reply) = 0;
  /// Takes a document out of the quarantine; applies nothing.
  virtual void release(proto::api::ReleaseRequest request, Actor actor,
                       Reply<proto::api::QuarantineItem> reply) = 0;
  /// Asks for a rehearsal of a rollback target. The reply comes once the request is durable; the
  /// end is an event of kind `rehearsed`.
  virtual void rehearse(proto::api::RehearseRequest request, Actor actor,
                        Reply<proto::api::Accepted> reply) = 0;
  /// One service, by its name: deploy/engine/commands/services.hpp. The reply comes once the change
  /// is durable; how the service stands is in the snapshot.
  virtual void stop_service(proto::api::ServiceStopRequest request, Actor actor,
                            Reply<proto::api::ServiceChange> reply) = 0;
  virtual void start_service(proto::api::ServiceStartRequest request, Actor actor,
                             Reply<proto::api::ServiceChange> reply) = 0;
  /// The host goes down: everything ends. Asked for again, tells how far that is.
  virtual void shutdown(proto::api::ShutdownRequest request, Actor actor,
                        Reply<proto::api::ShutdownProgress> reply) = 0;
  virtual void restart_service(proto::api::ServiceRestartRequest request, Actor actor,
                               Reply<proto::api::ServiceChange> reply) = 0;
  /// The reply comes once it is durable. Who begins too many is refused; an end is always taken.
  virtual void record_exec(ExecRecord record, Actor actor, Reply<std::monostate> reply) = 0;
  /// Gives up every frozen instance: rollback gets slower, memory gets free.
  virtual void drop_standby(proto::api::StandbyDropRequest request, Actor actor,
                            Reply<proto::api::StandbyDropped> reply) = 0;
  /// A watched source has a new document (or the first one after start).
  virtual void source_changed(OfferedText offered) = 0;
  /// What a watched source has may not even be offered: told as an event, and counted.
  virtual void source_refused(Error error, std::string source) = 0;
  virtual void reconfigure(proto::LiveSettings settings) = 0;
  /// Images came, went, or were found damaged by hand or by the scrub. `collected` says what was
  /// collected, for the ledger; empty: nothing.
  virtual void images_changed(std::string collected, Actor actor) = 0;
  /// False: the engine is inside a pass for longer than allowed. For the watchdog.
  [[nodiscard]] virtual bool alive() const = 0;
};

}  // namespace holdfast::deploy::engine
