#pragma once
/// \file
/// The engine without its thread: state and one turn of the loop, so that a test can step it with
/// fake ports and clock.

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "deploy/engine/engine.hpp"
#include "deploy/plan/plan.hpp"

namespace holdfast::deploy::engine {

/// How slow work leaves the engine thread. `done` handed to a job posts back to the engine thread.
class Jobs {
 public:
  /// change: creation, restart; stop: what a restart or a replacement waits for; retire: the end of
  /// what is needed no more; drain: counting and cutting connections.
  enum class Pool { change, pull, probe, stop, retire, drain };
  using Work = std::function<std::function<void()>(
      const std::stop_token&)>;  ///< returns what to do back on the engine thread
  virtual ~Jobs() = default;
  virtual void run(Pool pool, Work work) = 0;
};

/// Not thread safe: belongs to the engine thread, but for `snapshot` and `events`.
class Core {
 public:
  Core(Ports ports, Engine::Options options, Jobs& jobs);

  /// Reads generations, documents and progress; reserves the current ports.
  [[nodiscard]] Status load();

  /// One turn: observe (fully, or from memory when `fresh` is false), decide, record, act; repeated
  /// until nothing more is due now. Returns when the next turn is due.
  BootTime turn(bool fresh);

  Result<proto::api::Accepted> apply(const proto::api::ApplyRequest& request, const Actor& actor,
                                     plan::Trigger trigger);
  Result<proto::api::Accepted> rollback(const proto::api::RollbackRequest& request,
                                        const Actor& actor);
  Result<proto::api::PlanReport> plan_apply(const proto::api::ApplyRequest& request);
  Result<proto::api::PlanReport> plan_rollback(const proto::api::RollbackRequest& request);
  Result<proto::api::HoldStatus> hold(const proto::api::HoldRequest& request, const Actor& actor);
  Result<proto::api::Resumed> resume(const proto::api::ResumeRequest& request, const Actor& actor);
  Result<proto::api::QuarantineItem> quarantine(const proto::api::QuarantineRequest& request,
                                                const Actor& actor);
  Result<proto::api::QuarantineItem> release(const proto::api::ReleaseRequest& request,
                                             const Actor& actor);
  Result<proto::api::Accepted> rehearse(const proto::api::RehearseRequest& request,
                                        const Actor& actor);
  Result<proto::api::StandbyDropped> drop_standby(const proto::api::StandbyDropRequest& request,
                                                  const Actor& actor);
  void source_changed(const std::string& document, const std::string& source);
  void reconfigure(proto::AgentConfig config);
  /// Images came, went, or were found damaged: looks at them again. `collected` goes to the ledger.
  void images_changed(const std::string& collected, const Actor& actor);
  /// The agent did not run for `pause`: what waits for a time goes on with what was left of it, and
  /// probes that fail within a second from now say nothing of what they asked.
  void suspended(BootClock::duration pause);
  /// Something changed outside: the next turn observes fully, as closely as `look` says.
  void mark_changed(runtime::Look look = runtime::Look::quick) {
    changed_ = true;
    look_ = std::max(look_, look);
  }
  [[nodiscard]] bool changed() const { return changed_; }
  /// No roll-out and no rehearsal waits for an answer.
  [[nodiscard]] bool at_rest() const { return !progress_.rollout && !progress_.rehearsal; }
  /// Since the last call the answer of a probe asked for a turn, though not for a full observation.
  [[nodiscard]] bool take_stirred() { return std::exchange(stirred_, false); }

  [[nodiscard]] std::shared_ptr<const Snapshot> snapshot() const {
    return std::atomic_load(&snapshot_);
  }
  [[nodiscard]] EventLog& events() { return events_; }

 private:
  using Document = std::shared_ptr<const proto::Deployment>;
  using GenerationId = plan::GenerationId;

  // core.cpp
  void observe(bool fresh);
  void observe_instances();
  void count_oom(const plan::ObservedInstance& now, const plan::ObservedInstance* before);
  void observe_images();
  [[nodiscard]] bool settle(plan::Decision decision);
  [[nodiscard]] bool record(const plan::Decision& decision);
  void finish(const plan::Decision& decision);
  [[nodiscard]] std::map<std::string, std::string> evidence_of(const plan::Failure& failure) const;
  void collect_garbage();
  void count(const Error& error);
  [[nodiscard]] Status commit(ledger::Batch batch);
  Error refused_by_ledger(const Error& error);
  void taken_by_ledger(const ledger::Batch& batch, const ledger::Head& head, std::size_t published);
  [[nodiscard]] bool put_off(const plan::Decision& decision, ledger::Batch& batch);
  void publish(const proto::Entry& entry);
  [[nodiscard]] plan::Settings settings() const {
    return {options_.config.service_subnet, options_.config.drift};
  }

  // actions.cpp
  [[nodiscard]] bool start(const plan::Action& action);
  void start_pull(const plan::Pull& pull);
  void start_create(const plan::Create& create);
  void start_probe(const plan::ProbeNow& probe);
  void probe_thawed(const plan::Thaw& thaw, const plan::Progress& next);
  void run_change(const plan::ServiceName& service, const plan::InstanceId& id,
                  const std::string& what, std::function<Status(const std::stop_token&)> work);
  void probed(const plan::InstanceId& id, const proto::HealthRule& rule, bool success, bool timeout,
              std::string detail);
  [[nodiscard]] runtime::HostsTable hosts() const;

  // endings.cpp
  struct EndJob {
    plan::InstanceId id;
    plan::ServiceName service;
    const char* what;
    Jobs::Pool pool;
  };
  void start_stop(const plan::Stop& stop);
  void start_remove(const plan::Remove& remove);
  void run_end(EndJob job,
               std::function<Result<std::function<void()>>(const std::stop_token&)> work);
  void end_failed(const EndJob& job, const Error& error);
  void record_kill(const plan::Stop& stop);
  void list_stop_kills(const proto::Deployment& current);

  // retained.cpp
  void retain_images(const proto::Deployment* next = nullptr);
  [[nodiscard]] BootTime pull_not_before(const proto::Digest& digest) const;

  // drain.cpp
  void observe_connections();
  void count_connections();
  void record_reset(const plan::InstanceId& id, std::uint32_t connections);
  void start_freeze(const plan::Freeze& freeze);
  void spare_from_cut(const plan::RoutingTable& table);

  // generations.cpp
  [[nodiscard]] Document document(GenerationId id);
  void set_results(const std::vector<ledger::ResultChange>& changes);
  void put_quarantine(ledger::Quarantine row);
  void lift_quarantine(const proto::Digest& digest);
  const std::shared_ptr<const Records>& records();
  void forget_old_generations();

  // backups.cpp
  void back_up();
  void back_up_when_due();
  [[nodiscard]] bool is_harmless(const plan::Action& action) const;

  // unrecorded.cpp
  void go_unrecorded(GenerationId target, const Actor& actor, const std::string& reason,
                     ledger::Batch batch);
  [[nodiscard]] bool goes_on_unrecorded() const;
  void keep_for_later(ledger::Batch batch);
  void take_up_intent();
  void try_ledger();
  void settle_doubt();
  [[nodiscard]] std::size_t drop_put_off(const ledger::Batch& taken);
  void forget_intent() const;

  // commands.cpp
  void begin_change(plan::Progress next);
  [[nodiscard]] Result<proto::Deployment> admit(const proto::api::ApplyRequest& request);
  [[nodiscard]] Result<GenerationId> rollback_target(std::uint64_t wanted);
  [[nodiscard]] Status check_local(GenerationId id);
  void rollback_into(ledger::Batch& batch, GenerationId from, GenerationId target,
                     const Actor& actor, const std::string& reason);
  [[nodiscard]] Status reserve_for(const proto::Deployment* next);
  [[nodiscard]] proto::Entry entry(proto::EntryKind kind, const Actor& actor, std::string reason,
                                   GenerationId id) const;
  [[nodiscard]] std::map<std::string, std::string> images_of(GenerationId id);
  [[nodiscard]] const ledger::Generation* generation(GenerationId id) const;

  [[nodiscard]] std::optional<Result<proto::api::Accepted>> apply_to_rollout(
      const proto::api::ApplyRequest& request, const proto::Deployment& wanted, const Actor& actor);
  [[nodiscard]] Result<proto::api::Accepted> turn_back(const proto::api::RollbackRequest& request,
                                                       const Actor& actor);
  [[nodiscard]] Status check_policy(const proto::Deployment& wanted) const;

  // restraints.cpp
  [[nodiscard]] Status learn_zones(const proto::Deployment& wanted);
  [[nodiscard]] Result<proto::Digest> resolve(const std::string& what);
  [[nodiscard]] Result<std::optional<WallTime>> parse_until(const std::string& until) const;
  [[nodiscard]] proto::api::QuarantineItem item(const ledger::Quarantine& row) const;
  [[nodiscard]] Status withdraw_rollout(const Actor& actor, const std::string& reason);
  void withdraw_into(ledger::Batch& batch, const Actor& actor, const std::string& reason);
  void supersede_into(ledger::Batch& batch, GenerationId id, const Actor& actor,
                      const std::string& reason);
  void offer(const proto::Digest& digest, const std::string& source);
  BootTime expire_quarantine(BootTime wake);
  void warn_of_waits(const proto::api::ApplyRequest& request, const proto::Deployment& wanted,
                     std::vector<std::string>& warnings);

  // readiness.cpp
  void begin_due_rehearsal();
  void observe_memory();
  void forget_job_failures();
  void count_readiness(const plan::Note& note);
  void fill_readiness(proto::api::Status& status);
  void announce_rehearsal();
  [[nodiscard]] proto::api::RehearsalStatus rehearsal_status() const;
  [[nodiscard]] std::vector<proto::api::StandbyStatus> standby_status() const;
  [[nodiscard]] std::set<GenerationId> generations_in_use() const;

  // drift.cpp
  void note_drift();
  void fill_drift(proto::api::Status& status) const;
  void watch_routes();
  [[nodiscard]] Status apply_routes(const plan::RoutingTable& table);

  // report.cpp
  void refresh_rollback();
  void note_boot(const proto::api::Status& status);
  void build_snapshot();
  [[nodiscard]] proto::api::ServiceStatus service_status(const std::string& name,
                                                         const proto::Service& wanted) const;
  void fill_rollout(proto::api::Status& status);
  void fill_state(proto::api::Status& status) const;
  [[nodiscard]] std::vector<proto::api::ServiceStatus> services_status() const;
  void announce_result(const plan::Rollout& rollout);
  void announce_wait();
  void fill_restraints(Snapshot& next);
  void announce(GenerationId id, std::string result, const plan::Rollout& rollout, bool went_back);
  [[nodiscard]] bool retrying() const;
  [[nodiscard]] std::string crash_loop(const plan::ServiceName& service) const;

  Ports ports_;
  Engine::Options options_;
  Jobs& jobs_;

  /// What is recorded together with the next commit: the steps of a rollback on the way to its
  /// switch, or all that happened while the ledger took nothing.
  struct PutOff {
    ledger::Batch batch{};
    BootTime until{};        ///< recorded by then, whatever happens
    bool published = false;  ///< its events are out
  };

  plan::Progress progress_;
  std::optional<PutOff> put_off_;
  std::string recorded_progress_;
  plan::Observed observed_;
  std::map<GenerationId, Document> documents_;
  std::vector<ledger::Generation> generations_;  ///< newest first, not all: see generations.cpp
  bool history_complete_ = true;
  std::map<proto::Digest, ledger::Quarantine> quarantine_;
  bool stirred_ = false;
  std::shared_ptr<const Records> records_;  ///< none: something listed has changed
  std::pair<GenerationId, std::optional<plan::SourceWord>> records_of_;  ///< what they name
  std::map<plan::InstanceId, plan::Health> health_;
  runtime::HostsTable published_hosts_;
  std::map<plan::InstanceId, std::uint32_t> open_;  ///< connections, of draining instances
  bool counting_ = false;                           ///< a job counts them
  BootTime next_count_{};
  std::map<plan::InstanceId, std::pair<plan::Address, std::stop_source>> freezing_;
  std::map<std::string, std::pair<WallTime, plan::Drift>> drift_;
  proto::api::RollbackReadiness rollback_;
  std::optional<plan::RoutingTable> applied_routes_;  ///< as we left it; none: not applied yet
  bool routes_altered_ = false;                       ///< since then, by others
  bool changed_ = true;
  runtime::Look look_ = runtime::Look::complete;  ///< of the next observation
  bool ready_ = false;
  bool backing_up_ = false;
  bool back_up_again_ = false;  ///< another roll-out ended meanwhile
  BootTime next_back_up_{};
  bool ledger_ok_ = true;
  std::string ledger_fault_;
  Errc ledger_code_ = Errc::io;
  std::string ledger_next_;  ///< what to do about it
  bool unrecorded_ = false;  ///< what happens now is in memory only, see unrecorded.cpp
  WallTime since_{};
  BootTime began_{};
  BootTime forgiving_until_{};  ///< failed probes do not count before
  BootTime next_resync_{};
  BootTime next_memory_look_{};
  ledger::Head head_;
  Figures figures_;
  EventLog events_;
  std::shared_ptr<const Snapshot> snapshot_ = std::make_shared<Snapshot>();
};

}  // namespace holdfast::deploy::engine
