#pragma once
#include "deploy/plan/model/state.hpp"
#include "proto/api/messages.hpp"

namespace holdfast::deploy::plan {

/// Computes the next steps towards the current generation, or of the rollout under way
/// (packaging/doc/design.md 4).
///
/// Pure: no I/O, no clock, no logging; equal input gives equal output. Cannot fail. Converged input
/// gives no action (probes that are due aside). A cutover service's old instance keeps its traffic
/// until its replacement passed the gate; a service whose run hash did not change is never touched.
[[nodiscard]] Decision decide(const Progress& progress, const Observed& observed,
                              const Settings& settings, BootTime now);

/// Begins a rollout: progress with `target` as current. Precondition: none is under way.
[[nodiscard]] Progress begin_rollout(const Progress& progress, GenerationId target, Trigger trigger,
                                     std::string actor, std::string reason, BootTime now);

/// Turns the rollout under way back, on an operator's word: the next decisions revert it.
[[nodiscard]] Progress abandon_rollout(const Progress& progress, std::string actor,
                                       std::string reason, BootTime now);

/// The same as if time had stood still for `pause`: the agent was stopped (SIGSTOP, a suspended
/// host), and could neither probe nor act. Gates, soaks, drains and the deadlines of hooks go on
/// with what was left of them.
[[nodiscard]] Progress shift(const Progress& progress, BootClock::duration pause);

/// What a rollout whose images are here waits for.
struct Wait {
  enum class Cause : std::uint8_t { hold, window } cause = Cause::hold;
  std::optional<WallTime> until;
  std::string text;  ///< "held by root (uid 0) until …: the shop is busy"
};
/// None: it may begin, or there is none. A rollback never waits.
[[nodiscard]] std::optional<Wait> waits_for(const Progress& progress, const Observed& observed);

/// What the windows of the rollout under way say at `observed.wall`. Many windows take
/// milliseconds, so the answer in `observed.windows` is kept until they open, for a minute at most,
/// and not when the clock was set back. None: no window matters.
[[nodiscard]] std::optional<WindowAnswer> look_at_windows(const Progress& progress,
                                                          const Observed& observed);

/// Services and hooks of which a process lives or is about to, standbys and rehearsals aside: what
/// a shutdown waits for.
[[nodiscard]] std::set<ServiceName> living(const Progress& progress, const Observed& observed);
/// What of the current document runs for somebody: started again where the host stays up after all.
[[nodiscard]] std::set<ServiceName> to_start_again(const Progress& progress,
                                                   const Observed& observed);
/// Which services stand on each: by any document in use, directly or through others. Hooks that run
/// stand on all.
[[nodiscard]] std::map<ServiceName, std::set<ServiceName>> dependents(const Progress& progress,
                                                                      const Observed& observed);
/// Nothing was made in this life of the host yet, neither instances nor the nftables table.
[[nodiscard]] bool is_just_booted(const Observed& observed);
/// The host stays up after all: what ran when its end was announced is started again, whatever its
/// restart rule says.
[[nodiscard]] Progress call_off_shutdown(const Progress& progress, const Observed& observed);

/// "stopped by root (uid 0) until …: the disk is exchanged".
[[nodiscard]] std::string stop_text(const Hold& stop);
/// Nothing runs of the service, whatever is rolled out, until `restart_service` or the stop's time.
[[nodiscard]] Progress stop_service(const Progress& progress, const ServiceName& service,
                                    Hold stop);
/// Its process ends and is started again; what is stopped, has ended or has completed is started.
[[nodiscard]] Progress restart_service(const Progress& progress, const Observed& observed,
                                       const ServiceName& service);
/// Of a rollout to `target`: what will not run of it, and what would start it.
[[nodiscard]] std::vector<std::string> stop_warnings(const Progress& progress,
                                                     const proto::Deployment& target);
/// Steps of services that are stopped start nothing.
void mark_stopped(const Progress& progress, std::vector<proto::api::PlanStep>& steps);

/// Whether the rollout under way waits: nothing was started or stopped for it yet.
[[nodiscard]] bool is_waiting(const Progress& progress);
/// The generation that the host runs: until a rollout has begun, the one before (0: nothing).
[[nodiscard]] GenerationId effective_generation(const Progress& progress);
/// A rollout is under way and has gone beyond fetching and waiting.
[[nodiscard]] bool has_begun(const Progress& progress);
/// Something was started, stopped or run for a rollout, in whatever phase it is now: only then is
/// there anything to take back.
[[nodiscard]] bool has_touched_host(const Rollout& rollout);
/// As if the rollout under way had not been asked for. Precondition: there is one.
[[nodiscard]] Progress without_rollout(const Progress& progress);
/// The same of one that gives way (staging.hpp); any other stays.
[[nodiscard]] Progress withdraw(const Progress& progress);

/// Asks for a rehearsal of `target`; it begins when no rollout is under way. Precondition: none is
/// asked for yet.
[[nodiscard]] Progress begin_rehearsal(const Progress& progress, GenerationId target,
                                       std::string actor, std::string reason, BootTime now);
/// The name under which instances of a service rehearse; no service or hook can have it.
[[nodiscard]] ServiceName rehearsal_name(const ServiceName& service);
[[nodiscard]] bool is_rehearsal(const ServiceName& name);
/// A service as it is rehearsed: not published, and an empty tmpfs in place of each writable
/// volume. None: it cannot be, for the reason in `why_not`.
[[nodiscard]] std::optional<proto::Service> as_rehearsed(const proto::Service& service,
                                                         std::string* why_not = nullptr);
/// What an instance of this name is made from: a service, a hook, or a service as it is rehearsed.
[[nodiscard]] std::optional<proto::Service> wanted_container(const proto::Deployment& deployment,
                                                             const ServiceName& name);
/// The hooks under way, by name, with what a reader wants to know: "before hook migrate (1 of 2)".
[[nodiscard]] std::map<ServiceName, std::string> hooks_under_way(const Progress& progress,
                                                                 const Observed& observed);
/// Frozen instances that a service has at most: the last ones.
inline constexpr std::size_t kMostStandby = 4;
/// Gives up what is frozen: progress without it, and what it was.
[[nodiscard]] std::pair<Progress, std::vector<InstanceId>> drop_standby(const Progress& progress);

/// The instance ended with exit code 0, and its document says that it may end.
[[nodiscard]] bool has_completed(const InstanceView& view, const proto::Service& wanted);
/// It has just done so: the next decision writes that down.
[[nodiscard]] bool completes_now(const Progress& progress, const InstanceView& view,
                                 const ServiceName& name, const proto::Service& wanted);
/// When this one-shot ended with exit code 0; none: it did not, or it is no one-shot.
[[nodiscard]] std::optional<WallTime> completed_at(const Progress& progress,
                                                   const ServiceName& name,
                                                   const proto::Service& wanted);
/// Says in the plan of a rollback to `after` which one-shots are not run again.
void mark_completed(const Progress& progress, const proto::Deployment& after,
                    std::vector<proto::api::PlanStep>& steps);

/// How long a process may fail its probes before it was healthy for the first time: what the gate
/// granted it. The largest of `start_period`, the deadline of an update, and twice what the last
/// start took (`measured`).
[[nodiscard]] Milliseconds start_grace(const proto::Service& service,
                                       std::optional<Milliseconds> measured);
/// What the start of a service took last, when it was measured.
[[nodiscard]] std::optional<Milliseconds> last_start(const Progress& progress,
                                                     const ServiceName& service);
/// The same for people: "has until 1m after its start to become healthy (it took 22s last)".
[[nodiscard]] std::string start_grace_text(const proto::Service& service,
                                           std::optional<Milliseconds> measured);

struct ProbeResult {
  bool success = false;
  std::string detail;
  Milliseconds age{0};      ///< of the process
  Milliseconds watched{0};  ///< since the agent has been probing it: less than `age` when adopted
  Milliseconds grace{0};    ///< see start_grace
};
/// One more probe result. Of a process that was not healthy yet, failures do not count within its
/// grace, nor before as many could have come at the declared pace.
[[nodiscard]] Health advance(Health health, const proto::HealthRule& rule, ProbeResult result);

/// Wait before the n-th restart of a process in a row: none for the first, then 1 s doubling to 60
/// s.
[[nodiscard]] Milliseconds restart_delay(std::uint32_t attempts);

/// Differences between declared and real, outside a rollout; sorted.
[[nodiscard]] std::vector<Drift> classify(const Progress& progress, const Observed& observed,
                                          const Settings& settings);

/// Where new connections should go now.
[[nodiscard]] RoutingTable wanted_routes(const Progress& progress, const Observed& observed);

/// Host ports that a deployment publishes.
[[nodiscard]] std::set<PortKey> published_ports(const proto::Deployment& deployment);

/// What going from `before` (may be null) to `after` would do, service by service.
/// `start_times` are those measured at earlier starts.
[[nodiscard]] std::vector<proto::api::PlanStep> compare(
    const proto::Deployment* before, const proto::Deployment& after,
    const std::map<ServiceName, Milliseconds>& start_times = {});
/// The hooks of one stage, as a plan shows them.
void add_hooks(const proto::Deployment& document, proto::HookStage stage,
               std::vector<proto::api::PlanHook>& hooks);

/// Whether the process of that number of starts has yet to end, or to be started again, because a
/// restart was decided. Pure.
[[nodiscard]] bool is_to_restart(const Progress& progress, const ServiceName& name,
                                 std::uint32_t starts);

}  // namespace holdfast::deploy::plan
