#pragma once
/// \file
/// What the agent and its clients say to each other over the unix socket; described by
/// proto/openapi.yaml. Each struct has `boost::json` conversions in codec.hpp. Times are RFC 3339,
/// durations seconds as numbers, sizes bytes.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "proto/api/states.hpp"

namespace holdfast::proto::api {

struct ErrorBody {
  std::string code;  ///< "E_SPEC_PARSE"
  std::string message;
  std::string next;  ///< next step, may be empty
};

struct DriftItem {
  std::string service;  ///< empty: the host as a whole
  Word<DriftKind> kind;
  std::string since;
  std::string evidence;
  Word<DriftAction> action;
  std::string next;  ///< what the agent does about it, or somebody should
};

struct ServiceStatus {
  std::string name;
  std::string image;     ///< as in the document
  std::string digest;    ///< pinned
  std::string manifest;  ///< platform manifest digest, empty before the pull
  Word<ServiceState> state;
  Word<HealthState> health;
  std::uint64_t restarts = 0;  ///< of the process of this instance
  std::string instance;
  int pid = 0;
  std::string address;
  std::string since;   ///< of the running process, or when a one-shot completed
  std::string detail;  ///< why it is not running or healthy
  std::vector<std::string> publish;
  bool crash_looping =
      false;  ///< three ends since it last ran for ten minutes; it may run just now
};

struct RollbackReadiness {
  std::uint64_t generation = 0;  ///< 0: there is none
  bool ready = false;
  std::string reason;  ///< why not
};

struct RolloutStatus {
  std::uint64_t generation = 0;
  Word<RolloutPhase> phase;
  double seconds = 0;
  std::string waiting_for;  ///< "web: GET :8080/healthz → 500 (2 of 3)"
  std::string begins;       ///< when a waiting one begins by itself; empty: not known
  std::string service;      ///< of which `waiting_for` tells; empty: of none alone
};

/// A frozen instance of an earlier generation, ready to be thawed.
struct StandbyStatus {
  std::string service;
  std::string instance;
  std::string since;
  std::string until;  ///< then it is given up
};

/// The last rehearsal of a rollback target, or the one under way.
struct RehearsalStatus {
  std::uint64_t generation = 0;
  Word<RehearsalState> verdict;
  std::string reason;  ///< why it failed or was cut off, what it waits for
  std::string actor;
  std::string time;                  ///< of the verdict, or of the request
  double seconds = 0;                ///< that it took
  std::vector<std::string> remarks;  ///< "db: not rehearsed: host network"
};

/// An operator's stop of changes.
struct HoldStatus {
  std::string actor;
  std::string reason;
  std::string since;
  std::string until;  ///< empty: until somebody resumes
};

/// A document that is not applied again, with what proves that it must not be.
struct QuarantineItem {
  std::string spec_digest;
  std::uint64_t generation = 0;  ///< the newest of this document; 0: it was never accepted here
  std::string actor;
  std::string reason;
  std::map<std::string, std::string> evidence;
  std::string since;
  std::string until;   ///< empty: until somebody releases it
  std::string source;  ///< the source whose last document it is; empty: none
};

/// Where deployments come from, and what it said last.
struct SourceStatus {
  std::string source;  ///< path or URL
  Word<SourceState> state;
  std::string last_success;        ///< when it last had a good answer; empty: never
  double age_seconds = 0;          ///< since then; without one since the agent started
  std::uint64_t serial = 0;        ///< the floor: the highest that was accepted; 0: not signed
  std::string document;            ///< sha256 of the signed document of that serial
  std::string expires;             ///< of that document; it blocks nothing that runs
  std::uint64_t root_version = 0;  ///< of the root of trust; 0: not signed
  std::string root_expires;
  std::optional<ErrorBody> refusal;  ///< the last one since the last success
  std::string refused_at;
};

struct Status {
  std::string deployment;        ///< name; empty before the first
  std::uint64_t generation = 0;  ///< current
  std::string spec_digest;
  Word<DeploymentState> state;
  std::vector<ServiceStatus> services;
  std::vector<DriftItem> drift;
  RollbackReadiness rollback;
  std::optional<RolloutStatus> rollout;
  std::optional<HoldStatus> hold;
  std::optional<QuarantineItem> quarantined;  ///< what the source declares and must not run
  std::optional<RehearsalStatus> rehearsal;   ///< none: there was none yet
  std::vector<StandbyStatus> standby;
  std::optional<SourceStatus> source;
  std::string message;                  ///< one line for people when not converged
  std::vector<std::string> incomplete;  ///< what of its configuration the agent runs without
  std::string agent_version;
  std::string agent_since;
};

struct HistoryItem {
  std::uint64_t generation = 0;
  std::string spec_digest;
  Word<GenerationResult> result;
  std::string reason;
  std::string actor;
  std::string time;
  bool current = false;
  bool quarantined = false;
};

struct ApplyRequest {
  std::string document;  ///< YAML
  std::string file;      ///< for messages only
  std::string reason;
  bool dry_run = false;
  bool now = false;          ///< does not wait for a window; a hold is waited for
  bool break_glass = false;  ///< where only signed documents are accepted: this one nevertheless
};

struct HoldRequest {
  std::string reason;  ///< required
  std::string until;   ///< RFC 3339; empty: until somebody resumes
};
struct ResumeRequest {
  std::string reason;
};
/// Answer to a resume: the hold that was ended; none when there was none.
struct Resumed {
  std::optional<HoldStatus> hold;
};

struct QuarantineRequest {
  std::string what;    ///< spec digest, its first hex digits, or the number of a generation
  std::string reason;  ///< required
  std::string until;   ///< RFC 3339; empty: until somebody releases it
};
struct ReleaseRequest {
  std::string what;
  std::string reason;
};

struct RollbackRequest {
  std::uint64_t to = 0;  ///< 0: the last good generation before the current one
  std::string reason;
  bool dry_run = false;
};

struct RehearseRequest {
  std::uint64_t generation = 0;  ///< 0: what a rollback would choose
  std::string reason;
};
struct StandbyDropRequest {
  std::string reason;
};
struct StandbyDropped {
  std::vector<StandbyStatus> dropped;
};

struct ServiceStopRequest {
  std::string service;
  std::string reason;
  std::string until;  ///< RFC 3339; empty: until it is started
};
struct ServiceStartRequest {
  std::string service;
  std::string reason;
};
struct ServiceRestartRequest {
  std::string service;
  std::string reason;
};
/// One service was stopped, started or restarted, or will be in a moment: `instance` and `restarts`
/// are of before. /v1/status says how it stands.
struct ServiceChange {
  std::string service;
  bool changed = true;   ///< false: already so, nothing to do
  std::string instance;  ///< empty: there was none
  std::uint64_t restarts = 0;
  std::uint64_t since_event = 0;
  std::optional<HoldStatus> stopped;
  std::vector<std::string> warnings;
};

/// A command inside the instance of a service: same namespaces, limits and confinement.
struct ExecRequest {
  std::string service;
  std::string instance;  ///< empty: the one that serves
  std::vector<std::string> command;
  std::string user;              ///< "user[:group]" of the image; empty: the service's
  std::string workdir;           ///< absolute; empty: the service's
  std::vector<std::string> env;  ///< "NAME=value", besides the service's or in their place
  bool input = false;            ///< the client sends standard input; else there is none
  bool terminal = false;         ///< one stream both ways, with signals and a size
  std::uint64_t rows = 0;        ///< of the terminal; 0: not known
  std::uint64_t columns = 0;
};
/// How it ended; the last thing that is said over the connection (exec_frames.hpp).
struct ExecEnd {
  /// Of the command: 128 + n after signal n, 126 where it cannot be run, 127 where there is none. 0
  /// with an error: it says nothing, the session itself failed.
  std::uint64_t exit_code = 0;
  std::optional<ErrorBody> error;  ///< why it did not run, or not to its end
};

/// The host goes down: every service ends, each by its own stop rule and what others stand on last.
struct ShutdownRequest {
  std::uint64_t within_seconds = 0;  ///< what still runs then is killed; 0: 600
};
/// Asked for again, it tells how far that is.
struct ShutdownProgress {
  std::vector<std::string> running;  ///< services and hooks that have yet to end; empty: done
  std::uint64_t standby = 0;         ///< frozen instances that have yet to end
  double seconds = 0;                ///< since it was asked for first
};

/// Answer to apply and rollback: the change was accepted (or was a no-op). Follow /v1/events for
/// the rest.
struct Accepted {
  std::uint64_t generation = 0;
  std::string spec_digest;
  bool changed = true;                  ///< false: already so, nothing to do
  std::uint64_t since_event = 0;        ///< follow events from here
  std::vector<std::string> warnings{};  ///< what it will miss on this host
};

struct PlanStep {
  std::string service;
  Word<PlanChange> change;
  std::string reason;               ///< why this strategy; expected downtime
  std::vector<std::string> fields;  ///< "env.LOG_LEVEL: info → debug"
  std::vector<std::string> relaxations;
};

/// A hook that the change would run.
struct PlanHook {
  Word<HookStage> stage;
  std::string name;
  std::string image;
  std::string note;  ///< "within 5m"
  std::vector<std::string> relaxations;
};

struct PlanReport {
  std::uint64_t from = 0;
  std::uint64_t to = 0;  ///< the number it would get, or of the rollback target
  std::string spec_digest;
  bool changes = false;
  std::vector<PlanStep> steps;
  std::vector<PlanHook> hooks;  ///< in the order in which they would run
  std::vector<std::string> images_to_pull;
  std::vector<std::string> warnings;
};

/// One event of the stream (server-sent events: id = number, event = kind, data = this).
struct Event {
  std::uint64_t number = 0;  ///< grows by one; gaps mean the client was too slow
  std::string time;
  std::string kind;  ///< ledger kinds, and: pull (progress), result (end of an apply or rollback),
                     ///< image (end of an image job)
  std::uint64_t generation = 0;
  std::string service;
  std::string message;  ///< one line for people
  std::string detail;   ///< JSON object as text, may be empty
};

/// The `result` event's detail, and what `apply`/`rollback --output json` print.
struct Outcome {
  std::uint64_t generation = 0;
  Word<OutcomeResult> result;
  double seconds = 0;
  std::vector<ServiceStatus> services;
  std::optional<ErrorBody> error;
};

/// Which events; the reader of a stream that broke off says it by the header Last-Event-ID, too.
struct EventsQuery {
  std::uint64_t after = 0;  ///< only those with a higher number
  bool follow = false;      ///< keeps the stream open
  std::string kind;         ///< separated by commas; empty: all
};
/// Which entries of the ledger, oldest first.
struct EntriesQuery {
  std::uint64_t after = 0;    ///< only those with a higher number
  std::uint64_t limit = 100;  ///< 1 to 1000
};
/// Which lines of a service's output.
struct LogsQuery {
  bool follow = false;                ///< goes on with new lines
  std::optional<std::uint64_t> tail;  ///< only so many of the last ones
  std::string since;                  ///< RFC 3339; empty: from the first
};

struct LedgerHead {
  std::uint64_t number = 0;  ///< of the last entry; 0: empty
  std::string hash;          ///< 64 hex digits
};

/// An entry of the ledger (proto/ledger/entry.hpp) with its place in the chain.
struct LedgerEntry {
  std::uint64_t number = 0;
  std::string hash;
  std::string kind;  ///< of Words<EntryKind>; one that only the agent knows is exported as it is
  std::string time;
  std::string actor;
  std::string reason;
  std::uint64_t generation = 0;
  std::string spec_digest;  ///< empty: none
  std::string service;
  std::map<std::string, std::string> images_before;
  std::map<std::string, std::string> images_after;
  std::map<std::string, std::string> detail;
};

struct LedgerVerification {
  bool intact = false;
  std::uint64_t entries = 0;
  LedgerHead head;
  std::string fault;  ///< the first one; empty when intact
};

struct LedgerRecoverRequest {
  bool dry_run = false;
  std::string reason;
};

/// What a recovery keeps and loses.
struct LedgerRecovery {
  bool dry_run = false;
  std::string fault;  ///< what is wrong with the ledger
  std::string base;   ///< the backup that it is rebuilt from; empty: there is none that is whole
  LedgerHead old_head;
  LedgerHead new_head;           ///< before the entry that tells of the recovery
  std::uint64_t taken_over = 0;  ///< entries out of the damaged file, beyond the backup
  std::uint64_t lost_first = 0;  ///< first number of the lost entries; 0: none is lost
  std::uint64_t lost_last = 0;
  std::vector<std::uint64_t> lost_generations;
  std::uint64_t generation = 0;   ///< effective afterwards; 0: none that is known
  std::vector<std::string> kept;  ///< instances that run, of no generation that is known
  std::string moved_to;           ///< directory of the damaged files
};

/// Everything about one generation.
struct GenerationRecord {
  HistoryItem generation;
  std::vector<LedgerEntry> entries;
  std::string document;   ///< YAML as it was read
  std::string canonical;  ///< JSON text; empty when this agent cannot read the document any more
};

struct LogLine {
  std::string time;
  Word<LogOrigin> stream;
  std::string text;
  bool partial = false;  ///< the line goes on in the next one
};

/// An image in the store.
struct ImageItem {
  std::string reference;    ///< by which it came; empty: not known
  std::string digest;       ///< pinned: what a document names
  std::string manifest;     ///< of the platform
  std::uint64_t bytes = 0;  ///< unpacked, layers shared with other images included
  std::uint64_t layers = 0;
  std::string pulled;                  ///< when it became whole here
  std::vector<std::string> needed_by;  ///< current, generation N, standby ID, …
  std::string leased_until;            ///< empty: no lease
  std::string leased_by;
  std::string verified;             ///< when the last of its layers was hashed again; empty: never
  std::vector<std::string> damage;  ///< what is wrong with it, each naming a digest
};

struct ImagePullRequest {
  std::string image;  ///< pinned reference
  std::string until;  ///< RFC 3339: kept until then although nothing needs it; empty: 24 hours
};
struct ImageVerifyRequest {
  std::vector<std::string> images;  ///< references or digests; empty: all
  bool repair = false;              ///< fetch what is damaged again
};
struct ImageExportRequest {
  std::string image;  ///< reference, digest or its first digits
  std::string path;   ///< absolute, as the agent sees it; opened with the caller's rights
};
struct ImageImportRequest {
  std::string path;       ///< as above
  std::string reference;  ///< for an archive with one image that does not say its own; may be empty
  std::string until;      ///< as in ImagePullRequest
};
struct ImageGcRequest {
  bool dry_run = false;
};

/// Something that a collection takes.
struct ImageGcItem {
  Word<CollectedKind> kind;
  std::string name;
  std::string reference;  ///< of an image
  std::uint64_t bytes = 0;
};
/// An image that stays, and why.
struct ImageGcKept {
  std::string digest;
  std::string reference;
  std::vector<std::string> why;
};
struct ImageGcReport {
  bool dry_run = false;
  std::vector<ImageGcItem> removed;  ///< with dry_run: what would go
  std::vector<ImageGcKept> kept;
  std::uint64_t bytes = 0;  ///< given back
};

/// Answer to what takes longer: the job has begun. Its end is the event `image` with this number.
struct ImageJob {
  std::uint64_t job = 0;
  Word<ImageOperation> operation;
  std::string waits_for;          ///< "verify of root (uid 0)": one at a time; empty: it begins now
  std::uint64_t since_event = 0;  ///< follow events from here
};

/// How an image job ended; the detail of its event `image`.
struct ImageResult {
  std::uint64_t job = 0;
  Word<ImageOperation> operation;
  double seconds = 0;
  std::vector<ImageItem> images;  ///< that it was about, as they are now
  std::uint64_t bytes = 0;  ///< fetched (pull), hashed (verify), given back (gc), written or read
  std::vector<std::string> repaired;  ///< digests of images (verify)
  std::string path;                   ///< of the archive (export, import)
  std::optional<ImageGcReport> gc;
  std::optional<ErrorBody> error;
};

struct VersionInfo {
  std::string version;
  std::string api;  ///< "v1"
};

}  // namespace holdfast::proto::api
