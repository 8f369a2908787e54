#pragma once
/// \file
/// Inside of plan: the working state of one decision.

#include <optional>
#include <string>
#include <utility>

#include "deploy/plan/plan.hpp"

namespace holdfast::deploy::plan {

class Planner {
 public:
  Planner(const Progress& progress, const Observed& observed, const Settings& settings,
          BootTime now)
      : observed_(observed), settings_(settings), now_(now) {
    out_.progress = progress;
  }

  Decision run();

 private:
  using Services = std::map<ServiceName, proto::Service>;

  // planner.cpp
  Progress& state() { return out_.progress; }
  Rollout& rollout() { return *out_.progress.rollout; }
  [[nodiscard]] const proto::Deployment* document(GenerationId id) const;
  [[nodiscard]] const InstanceView* find(const InstanceId& id) const;
  [[nodiscard]] bool busy(const ServiceName& service) const {
    return observed_.busy.contains(service);
  }
  void act(Action action) { out_.actions.push_back(std::move(action)); }
  void note(proto::EntryKind kind, GenerationId generation, std::string reason,
            std::map<std::string, std::string> detail = {}, std::string service = {});
  void wake(BootTime at);
  void wake(WallTime at);
  void assign_addresses();
  [[nodiscard]] InstanceId allot(const ServiceName& service, const proto::Service& wanted);
  [[nodiscard]] bool is_routed_to(const InstanceView& view) const;
  void remove_orphans();
  void step_retired();
  void bound_standby();
  void retire(const InstanceId& id, const proto::Service* service);
  void give_up_unneeded(const Progress& before);
  [[nodiscard]] bool ending(const InstanceId& id) const { return observed_.ending.contains(id); }
  [[nodiscard]] proto::StopRule stop_rule(const Progress& under, const InstanceId& id) const;
  /// Ends the process unless that is under way, or failed a moment ago.
  void stop(const InstanceView& view, bool awaited);
  [[nodiscard]] bool may_end(const InstanceId& id);
  void drop_standby_when_short();
  void schedule_probes();
  void probe_due(const ServiceName& service, const InstanceId& id, GenerationId generation);
  [[nodiscard]] bool is_led_already() const;
  void route();

  // drift.cpp
  [[nodiscard]] bool repairs(proto::DriftKind kind) const;
  void hold_for_drift();

  // shutdown.cpp
  void end_everything();
  void end_at_once(const InstanceView& view);
  void end_by_rule(const InstanceView& view);

  // stops.cpp
  void end_stops();
  [[nodiscard]] bool stays_stopped(const ServiceName& name, const InstanceView* view);
  [[nodiscard]] bool awaits_restart(const ServiceName& name, const InstanceView& view);

  // start_conditions.cpp
  void end_hold();
  void begin_or_wait();

  // rollout.cpp
  void step_rollout();
  void note_phase(std::string_view next);
  void enter(Phase phase);
  void stage();  // staging.cpp, with the next
  [[nodiscard]] std::optional<Failure> staging_failure(const ServiceName& name,
                                                       const ImageView& view);
  void start_and_check();
  [[nodiscard]] bool advance_cutover(const proto::Deployment& target);
  [[nodiscard]] bool advance_replace(const proto::Deployment& target);
  [[nodiscard]] bool gate(const ServiceName& service, const proto::Service& wanted);
  void make_fresh(const ServiceName& service, const proto::Service& wanted, bool half);
  void await_gate(const ServiceName& service, const proto::Service& wanted,
                  const InstanceView* view);
  [[nodiscard]] bool passes(const ServiceName& service, const InstanceView& view,
                            const proto::Service& wanted) const;
  [[nodiscard]] bool is_awaited(const ServiceName& service, const proto::Service& wanted) const;
  [[nodiscard]] bool is_proven(const ServiceName& service, const InstanceView& view,
                               const proto::Service& wanted) const;
  [[nodiscard]] bool take_former(const ServiceName& service, const proto::Service& wanted,
                                 bool ended);
  [[nodiscard]] bool revive_former(const ServiceName& service, const proto::Service& wanted,
                                   InstanceId& id);
  void start_fresh(const ServiceName& service, const proto::Service& wanted);
  [[nodiscard]] bool dependencies_ready(const proto::Service& wanted);
  [[nodiscard]] bool replaces(const ServiceName& service, const proto::Service& wanted) const;
  [[nodiscard]] bool changed(const ServiceName& service, const proto::Service& wanted) const;
  void switch_over(const proto::Deployment& target);
  void soak();
  void fail(Failure failure);
  void revert();
  [[nodiscard]] bool put_back(const ServiceName& name, const InstanceView& old);
  [[nodiscard]] bool make_room(const ServiceName& name);
  void finish_good();
  void finish_failed();
  void drain_fresh();

  // one_shots.cpp
  void note_completed();
  void note_completed(GenerationId generation, const std::map<ServiceName, InstanceId>& instances);
  [[nodiscard]] bool skips(const ServiceName& name, const proto::Service& wanted) const;
  [[nodiscard]] bool rests(const ServiceName& name, const proto::Service& wanted,
                           const InstanceView* view);

  // hooks.cpp
  enum class HooksState : std::uint8_t { running, done, failed };
  /// Runs the hooks of a stage one after the other. After `failed`, `hook_failure_` says why.
  [[nodiscard]] HooksState run_hooks(proto::HookStage stage, GenerationId generation,
                                     HookProgress& at);
  /// The end of one hook; none while it runs.
  struct HookEnd {
    std::optional<Failure> failure;
  };
  [[nodiscard]] std::optional<HookEnd> run_hook(const proto::Hook& hook, GenerationId generation,
                                                HookProgress& at);
  [[nodiscard]] bool hook_remains(const proto::Hook& hook, GenerationId generation) const;
  [[nodiscard]] std::optional<HookEnd> create_hook(const proto::Hook& hook, GenerationId generation,
                                                   HookProgress& at);
  [[nodiscard]] std::optional<HookEnd> restart_hook(const proto::Hook& hook, HookProgress& at);
  void step_post_rollback_hooks();
  void add_post_rollback_hooks(GenerationId rolled_back_from);

  // rehearsal.cpp
  void step_rehearsal();
  /// True when the instance is ready; ends the rehearsal when it cannot become so.
  [[nodiscard]] bool rehearse_service(const ServiceName& name, const proto::Service& wanted);
  [[nodiscard]] bool needs_unrehearsed(const proto::Service& wanted) const;
  void make_rehearsed(const ServiceName& name, const InstanceView* view);
  void fail_rehearsal(const ServiceName& name, const std::string& what,
                      std::map<std::string, std::string> detail = {});
  [[nodiscard]] bool rehearsal_ready(const ServiceName& name, const proto::Service& wanted) const;
  void end_rehearsal(RehearsalVerdict::Kind kind, std::string reason,
                     std::map<std::string, std::string> detail = {});

  // steady_state.cpp
  void keep_running();
  void keep_service(const ServiceName& service, const proto::Service& wanted);
  [[nodiscard]] bool is_usable(const InstanceView& view, const proto::Service& wanted) const;
  void recreate(const ServiceName& service, const proto::Service& wanted, GenerationId generation,
                const InstanceView* view);
  void restart_exited(const ServiceName& service, const proto::Service& wanted,
                      const InstanceView& view);
  [[nodiscard]] bool mend_running(const ServiceName& service, const proto::Service& wanted,
                                  const InstanceView& view);
  [[nodiscard]] bool may_restart(const ServiceName& service);

  const Observed& observed_;
  const Settings& settings_;
  BootTime now_;
  Decision out_;
  std::optional<Failure> hook_failure_;
};

/// The generation whose document rules over what serves: before the switch of a rollout, and while
/// it reverts, the former.
[[nodiscard]] GenerationId serving_generation(const Progress& progress);

/// The wall clock may be set: nothing is slept through, or believed of it, for longer.
inline constexpr Milliseconds kLongestByWall{60'000};

/// Every instance that is there for a reason.
[[nodiscard]] std::set<InstanceId> instances_in_use(const Progress& progress);

/// The instance counts as ready: its process runs and its health rule is satisfied; without a rule
/// after a second. A one-shot also when it has completed.
inline constexpr Milliseconds kSettle{1'000};
[[nodiscard]] bool is_ready(const InstanceView& view, const proto::Service& wanted, BootTime now);

}  // namespace holdfast::deploy::plan
