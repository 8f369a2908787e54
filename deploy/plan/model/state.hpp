#pragma once
/// \file
/// What plan is told and what it answers. Progress is the engine's durable state; everything else
/// is observed again.

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "deploy/plan/model/model.hpp"
#include "deploy/plan/model/window.hpp"
#include "proto/api/states.hpp"
#include "proto/config/agent_config.hpp"
#include "proto/deployment/deployment.hpp"
#include "proto/ledger/entry.hpp"

namespace holdfast::deploy::plan {

using proto::ServiceName;

using Phase = proto::api::RolloutPhase;
[[nodiscard]] constexpr std::string_view to_string(Phase phase) { return proto::word_of(phase); }

enum class Trigger : std::uint8_t { apply, source, rollback };
[[nodiscard]] std::string_view to_string(Trigger trigger);

/// Why a rollout goes back, with what proves it.
struct Failure {
  Errc code = Errc::internal;
  std::string service;
  std::string what;                             ///< "web exited with code 1 before it was healthy"
  std::map<std::string, std::string> evidence;  ///< exit_code, oom, probe
  bool passing = false;  ///< not the document's fault: it is not quarantined for it
  bool operator==(const Failure&) const = default;
};

/// How far the hooks of one stage are. Which hook runs follows from `done`.
struct HookProgress {
  std::size_t done = 0;
  InstanceId id;            ///< of the one that runs; empty: not begun
  BootTime since{};         ///< its start
  std::uint32_t tries = 0;  ///< starts whose end nobody knows (the host went down)
  BootTime ended{};         ///< seen ended while its exit code was not known yet
  bool operator==(const HookProgress&) const = default;
};

/// The on_rollback hooks of a generation that was rolled back from. They run after traffic is back.
struct PostRollbackHooks {
  GenerationId generation;
  HookProgress hooks;
  bool operator==(const PostRollbackHooks&) const = default;
};

/// A rollback target that runs beside what serves, to see whether it still can.
struct Rehearsal {
  GenerationId target;
  std::string actor;
  std::string reason;
  BootTime since{};  ///< when its first instance was asked for
  std::map<ServiceName, InstanceId> instances;
  std::map<ServiceName, BootTime> gate_since;
  bool operator==(const Rehearsal&) const = default;
};

struct RehearsalVerdict {
  enum class Kind : std::uint8_t { passed, failed, interrupted };
  GenerationId generation;
  Kind kind = Kind::passed;
  std::string reason;
  std::string actor;
  WallTime at{};
  Milliseconds took{0};
  std::vector<std::string> remarks;  ///< "db: not rehearsed: host network"
  bool operator==(const RehearsalVerdict&) const = default;
};
[[nodiscard]] std::string_view to_string(RehearsalVerdict::Kind kind);

struct Rollout {
  GenerationId target;
  GenerationId from;  ///< what serves until the switch and what a failure goes back to; 0: nothing
  Trigger trigger = Trigger::apply;
  std::string actor;
  std::string reason;
  Phase phase = Phase::staging;
  BootTime since{};  ///< of the phase
  BootTime started{};
  std::map<ServiceName, InstanceId> fresh;     ///< instances of the target for its changed services
  std::map<ServiceName, InstanceId> before;    ///< what served when the rollout began
  std::map<ServiceName, BootTime> gate_since;  ///< start of a fresh instance's deadline
  std::set<ServiceName> replaced;              ///< stopped to make room for the fresh one
  std::optional<Failure> failure;
  bool switched = false;  ///< traffic went to the fresh ones, if only for a while
  HookProgress hooks_before;
  HookProgress hooks_after;
  std::map<ServiceName, Milliseconds> ready_in;  ///< from the request to start to healthy
  bool now = false;                              ///< does not wait for its window
  bool operator==(const Rollout&) const = default;
};

/// An operator's word that something waits: every change, or one service.
struct Hold {
  std::string actor;
  std::string reason;
  WallTime since{};
  std::optional<WallTime> until;  ///< then it ends by itself
  bool operator==(const Hold&) const = default;
};

/// The last document of a source.
struct OfferedDocument {
  std::string source;
  proto::Digest spec_digest;
  bool operator==(const OfferedDocument&) const = default;
};

/// The highest serial of a signed source that took its effect: what is said again is no news, and
/// what was said before it is an old document, whatever became of the source's own state.
struct HeardSerial {
  std::string source;
  std::uint64_t serial = 0;
  bool operator==(const HeardSerial&) const = default;
};

/// Its connections are counted no sooner: walking the kernel's table of connections holds a
/// processor for milliseconds, which right after a switch belong to the first answers.
inline constexpr Milliseconds kFirstCount{50};

/// An instance that no longer serves: drained, then frozen as standby, then removed.
struct Retired {
  BootTime since{};
  bool standby = false;  ///< drained and frozen
  Milliseconds drain{0};
  Milliseconds keep{0};  ///< as standby
  proto::StopRule stop;  ///< of the document that it served under last
  bool operator==(const Retired&) const = default;
};

/// The host goes down, as whoever takes it down has said.
struct Shutdown {
  std::string boot_id;     ///< of the life of the host that ends; another one has begun anew
  Milliseconds within{0};  ///< what still runs after so long is killed
  std::set<ServiceName> services;  ///< that ran when it was said
  BootTime since{};
  bool operator==(const Shutdown&) const = default;
};

struct RestartState {
  std::uint32_t attempts = 0;  ///< since the last 10 minutes of running
  BootTime last{};
  bool operator==(const RestartState&) const = default;
};

struct Progress {
  GenerationId current;  ///< what the host converges to; 0: nothing yet
  GenerationId good;     ///< the last one that was good
  std::map<ServiceName, InstanceId> serving;
  std::optional<Rollout> rollout;
  std::map<InstanceId, Retired> retired;
  std::map<ServiceName, Address> addresses;  ///< stable virtual addresses
  std::uint64_t next_sequence = 1;
  std::optional<Hold> hold;               ///< of changes; everything else goes on
  std::map<ServiceName, Hold> stopped;    ///< services that nothing starts
  std::optional<OfferedDocument> source;  ///< none: what was applied by hand since counts
  std::optional<HeardSerial> heard;       ///< none: no signed source was heard yet
  std::vector<PostRollbackHooks>
      post_rollback_hooks;  ///< in order; no rollout begins before it is over
  std::optional<Rehearsal> rehearsal;
  std::optional<RehearsalVerdict> rehearsed;  ///< the last one
  /// Of ours and needed no more, with the rule that ends them: their end is no repair.
  std::map<InstanceId, proto::StopRule> released;
  std::set<std::string> held_for;  ///< drift ("web/limits") that put a hold in place
  std::map<ServiceName, Milliseconds> start_times;  ///< measured at the last start of each
  /// One-shots that ended with exit code 0, and when, by service and run hash: neither a rollback
  /// nor a reboot runs them again. The last 64.
  std::map<std::pair<ServiceName, proto::Digest>, WallTime> completed;
  /// After a recovery of the ledger: instances of generations that nobody knows any more. They stay
  /// as they are, and so does where traffic goes, until a generation is good.
  std::set<InstanceId> kept;
  std::map<ServiceName, RestartState>
      restarts;  ///< not durable: a restarted agent starts from zero
  /// Said in this life of the host or an earlier one; `Observed::shutdown` says whether it holds.
  std::optional<Shutdown> shutdown;
  /// To be started again, with how often a process had been started in its instance until then.
  std::map<ServiceName, std::uint32_t> restarting;
  bool operator==(const Progress&) const = default;
};

/// Durable form of Progress; instants are left out and become `now` on return, so every deadline
/// starts with its full length.
[[nodiscard]] std::string encode_progress(const Progress& progress);
/// Errors: ledger_corrupt.
[[nodiscard]] Result<Progress> decode_progress(std::string_view text, BootTime now);

using HealthState = proto::api::HealthState;
[[nodiscard]] constexpr std::string_view to_string(HealthState state) {
  return proto::word_of(state);
}

struct Health {
  HealthState state = HealthState::none;
  std::uint32_t successes = 0;
  std::uint32_t failures = 0;
  std::uint32_t starts = 0;  ///< the process it speaks of
  BootTime last_probe{};
  BootTime judged{};  ///< when the probe began that was counted last
  bool in_flight = false;
  std::string detail;  ///< of the last probe
};

struct InstanceView {
  ObservedInstance seen;
  Health health;
};

struct ImageView {
  enum class State : std::uint8_t { missing, pulling, present, failed };
  State state = State::missing;
  std::optional<proto::Digest> manifest;
  Bytes size{0};  ///< of its compressed layers, when present; 0: not known
  std::optional<Error> error;
  BootTime retry_at{};  ///< not pulled, again or at all, before
  std::uint32_t attempts = 0;
};

struct JobFailure {
  Error error;
  BootTime retry_at{};
  std::uint32_t count = 0;
  GenerationId generation{};  ///< of a create: whose document it was for
};

/// What the windows of a rollout were found to say; `look_at_windows` says how long that holds.
struct WindowAnswer {
  GenerationId from{};
  GenerationId target{};
  WallTime asked{};
  Opening opening{};
  std::string text;  ///< why it waits; empty: they are open
};

struct Observed {
  std::map<InstanceId, InstanceView> instances;
  std::map<proto::Digest, ImageView> images;
  std::optional<RoutingTable> routing;  ///< none: the table is missing or altered
  /// As it was when it was whole last; none: it was not, in this life of the agent.
  std::optional<RoutingTable> last_routing;
  std::optional<RoutingTable> applied;  ///< what it was when we changed it last; none: not yet
  bool rollback_led = false;  ///< traffic goes to the target of the rollback under way already: an
                              ///< earlier life of the agent did it, without a record
  std::map<GenerationId, std::shared_ptr<const proto::Deployment>>
      documents;  ///< of current, from and target
  /// A job that creates or changes an instance of it runs, and on which instance.
  std::map<ServiceName, InstanceId> busy;
  std::set<InstanceId> ending;  ///< a job stops or removes it: that holds up nothing else
  std::map<ServiceName, JobFailure> job_failures;   ///< of the last create or restart
  std::map<InstanceId, JobFailure> end_failures;    ///< of the last stop or removal
  std::map<InstanceId, std::uint32_t> connections;  ///< open ones, of draining instances
  std::optional<Shutdown> shutdown;     ///< the host goes down: everything ends, nothing begins
  std::string memory_short;             ///< why frozen instances must go; empty: they need not
  WallTime wall{};                      ///< for holds and windows
  Zones zones;                          ///< that windows name
  std::optional<WindowAnswer> windows;  ///< of the rollout under way

  /// A job works on what serves it, or makes what will: what is seen of it is half of the truth.
  [[nodiscard]] bool is_changing(const ServiceName& service, const Progress& progress) const;
};

struct Settings {
  proto::Subnet service_subnet;
  proto::DriftPolicy drift;        ///< the host's word
  proto::ImagePolicy images = {};  ///< the same
};

struct Pull {
  proto::ImageRef image;
  std::optional<Bytes> max_size = {};  ///< of its compressed layers; none: what runs, or ran, may
  bool operator==(const Pull&) const = default;
};
struct Create {
  InstanceId id;
  ServiceName service;
  GenerationId generation;
  bool operator==(const Create&) const = default;
};
struct RestartProcess {
  InstanceId id;
  ServiceName service;
  bool operator==(const RestartProcess&) const = default;
};
struct Stop {
  InstanceId id;
  ServiceName service;
  proto::StopRule rule;
  bool awaited = false;  ///< a new process or instance of the service waits for the end of it
  bool operator==(const Stop&) const = default;
};
struct Remove {
  InstanceId id;
  ServiceName service;
  bool operator==(const Remove&) const = default;
};
/// Forget what is still connected, then freeze.
struct Freeze {
  InstanceId id;
  Address address = 0;
  bool operator==(const Freeze&) const = default;
};
struct Thaw {
  InstanceId id;
  bool operator==(const Thaw&) const = default;
};
struct ProbeNow {
  InstanceId id;
  ServiceName service;
  GenerationId generation;
  bool operator==(const ProbeNow&) const = default;
};
/// Put right in place: the declared limits, the pin of its namespace.
struct Enforce {
  InstanceId id;
  bool operator==(const Enforce&) const = default;
};
/// End the processes that came into it from outside.
struct Expel {
  InstanceId id;
  ServiceName service;
  bool operator==(const Expel&) const = default;
};
struct Route {
  RoutingTable table;
  bool operator==(const Route&) const = default;
};
using Action = std::variant<Pull, Create, RestartProcess, Stop, Remove, Freeze, Thaw, ProbeNow,
                            Enforce, Expel, Route>;

/// For the ledger; the engine adds time and actor.
struct Note {
  proto::EntryKind kind;
  GenerationId generation;
  std::string service;
  std::string reason;
  std::map<std::string, std::string> detail;
  /// The phase that this note ends, and how long it took.
  std::optional<std::pair<Phase, Milliseconds>> ended_phase{};
};

enum class Verdict : std::uint8_t { good, failed, rolled_back, superseded };
struct Ending {
  GenerationId generation;
  Verdict verdict;
  std::string reason;
};

struct Decision {
  Progress progress;
  std::vector<Action> actions;
  std::vector<Note> notes;  ///< recorded before the actions start
  std::vector<Ending> endings;
  std::optional<Rollout> finished;  ///< the rollout that ended in this step
  std::optional<GenerationId> quarantine;
  std::optional<BootTime> wake_at;
};

struct Drift {
  std::string service;  ///< empty: the host as a whole
  proto::DriftKind kind;
  std::string evidence;
  proto::DriftAction action;
  std::string next;  ///< what the agent does about it, or somebody should
  /// "web/limits": the same difference as long as it lasts.
  [[nodiscard]] std::string key() const;
  auto operator<=>(const Drift&) const = default;
};

}  // namespace holdfast::deploy::plan
