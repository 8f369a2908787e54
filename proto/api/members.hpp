#pragma once
/// \file
/// The messages, once, and the members of each, in the order in which they are written. `v` is
/// called with name and member.

#include "proto/api/messages.hpp"

/// X(T) for every message, each a schema of openapi.yaml under its name (ErrorBody is Error).
// clang-format off
#define HOLDFAST_API_MESSAGES(X) \
  X(ErrorBody) X(DriftItem) X(ServiceStatus) X(RollbackReadiness) X(RolloutStatus) \
  X(StandbyStatus) X(RehearsalStatus) X(RehearseRequest) X(StandbyDropRequest) X(StandbyDropped) \
  X(ServiceStopRequest) X(ServiceStartRequest) X(ServiceRestartRequest) X(ServiceChange) X(ExecRequest) X(ExecEnd) \
  X(ShutdownRequest) X(ShutdownProgress) \
  X(HoldStatus) X(QuarantineItem) X(HoldRequest) X(ResumeRequest) X(Resumed) \
  X(QuarantineRequest) X(ReleaseRequest) X(Status) X(HistoryItem) X(ApplyRequest) \
  X(RollbackRequest) X(Accepted) X(PlanStep) X(PlanHook) X(PlanReport) X(Event) X(Outcome) \
  X(LedgerHead) X(LedgerEntry) X(LedgerVerification) X(LedgerRecoverRequest) X(LedgerRecovery) \
  X(GenerationRecord) X(LogLine) X(ImageItem) X(ImagePullRequest) X(ImageVerifyRequest) \
  X(ImageExportRequest) X(ImageImportRequest) X(ImageGcRequest) X(ImageGcItem) X(ImageGcKept) \
  X(ImageGcReport) X(ImageJob) X(ImageResult) X(VersionInfo) X(SourceStatus)
/// X(T) for every message of which lists are answered.
#define HOLDFAST_API_LISTS(X) \
  X(HistoryItem) X(DriftItem) X(QuarantineItem) X(LedgerEntry) X(ImageItem) X(Event)
/// X(T) for every query.
#define HOLDFAST_API_QUERIES(X) X(EventsQuery) X(EntriesQuery) X(LogsQuery)
// clang-format on

namespace holdfast::proto::api::detail {

template <class V, class M>
void members(V& v, M& m, ErrorBody*) {
  v("code", m.code), v("message", m.message), v("next", m.next);
}

template <class V, class M>
void members(V& v, M& m, DriftItem*) {
  v("service", m.service), v("kind", m.kind), v("since", m.since);
  v("evidence", m.evidence), v("action", m.action), v("next", m.next);
}

template <class V, class M>
void members(V& v, M& m, ServiceStatus*) {
  v("name", m.name), v("image", m.image), v("digest", m.digest), v("manifest", m.manifest);
  v("state", m.state), v("health", m.health), v("restarts", m.restarts);
  v("instance", m.instance), v("pid", m.pid), v("address", m.address), v("since", m.since);
  v("detail", m.detail), v("publish", m.publish), v("crash_looping", m.crash_looping);
}

template <class V, class M>
void members(V& v, M& m, RollbackReadiness*) {
  v("generation", m.generation), v("ready", m.ready), v("reason", m.reason);
}

template <class V, class M>
void members(V& v, M& m, RolloutStatus*) {
  v("generation", m.generation), v("phase", m.phase), v("seconds", m.seconds);
  v("waiting_for", m.waiting_for), v("begins", m.begins), v("service", m.service);
}

template <class V, class M>
void members(V& v, M& m, StandbyStatus*) {
  v("service", m.service), v("instance", m.instance), v("since", m.since), v("until", m.until);
}

template <class V, class M>
void members(V& v, M& m, RehearsalStatus*) {
  v("generation", m.generation), v("verdict", m.verdict), v("reason", m.reason);
  v("actor", m.actor), v("time", m.time), v("seconds", m.seconds), v("remarks", m.remarks);
}

template <class V, class M>
void members(V& v, M& m, RehearseRequest*) {
  v("generation", m.generation), v("reason", m.reason);
}

template <class V, class M>
void members(V& v, M& m, StandbyDropRequest*) {
  v("reason", m.reason);
}

template <class V, class M>
void members(V& v, M& m, StandbyDropped*) {
  v("dropped", m.dropped);
}

template <class V, class M>
void members(V& v, M& m, ServiceStopRequest*) {
  v("service", m.service), v("reason", m.reason), v("until", m.until);
}

template <class V, class M>
void members(V& v, M& m, ServiceStartRequest*) {
  v("service", m.service), v("reason", m.reason);
}

template <class V, class M>
void members(V& v, M& m, ServiceRestartRequest*) {
  v("service", m.service), v("reason", m.reason);
}

template <class V, class M>
void members(V& v, M& m, ServiceChange*) {
  v("service", m.service), v("changed", m.changed), v("instance", m.instance);
  v("restarts", m.restarts), v("since_event", m.since_event), v("stopped", m.stopped);
  v("warnings", m.warnings);
}

template <class V, class M>
void members(V& v, M& m, ExecRequest*) {
  v("service", m.service), v("instance", m.instance), v("command", m.command);
  v("user", m.user), v("workdir", m.workdir), v("env", m.env), v("input", m.input);
  v("terminal", m.terminal), v("rows", m.rows), v("columns", m.columns);
}

template <class V, class M>
void members(V& v, M& m, ExecEnd*) {
  v("exit_code", m.exit_code), v("error", m.error);
}

template <class V, class M>
void members(V& v, M& m, ShutdownRequest*) {
  v("within_seconds", m.within_seconds);
}

template <class V, class M>
void members(V& v, M& m, ShutdownProgress*) {
  v("running", m.running), v("standby", m.standby), v("seconds", m.seconds);
}

template <class V, class M>
void members(V& v, M& m, HoldStatus*) {
  v("actor", m.actor), v("reason", m.reason), v("since", m.since), v("until", m.until);
}

template <class V, class M>
void members(V& v, M& m, QuarantineItem*) {
  v("spec_digest", m.spec_digest), v("generation", m.generation), v("actor", m.actor);
  v("reason", m.reason), v("evidence", m.evidence), v("since", m.since), v("until", m.until);
  v("source", m.source);
}

template <class V, class M>
void members(V& v, M& m, HoldRequest*) {
  v("reason", m.reason), v("until", m.until);
}

template <class V, class M>
void members(V& v, M& m, ResumeRequest*) {
  v("reason", m.reason);
}

template <class V, class M>
void members(V& v, M& m, Resumed*) {
  v("hold", m.hold);
}

template <class V, class M>
void members(V& v, M& m, QuarantineRequest*) {
  v("what", m.what), v("reason", m.reason), v("until", m.until);
}

template <class V, class M>
void members(V& v, M& m, ReleaseRequest*) {
  v("what", m.what), v("reason", m.reason);
}

template <class V, class M>
void members(V& v, M& m, SourceStatus*) {
  v("source", m.source), v("state", m.state), v("last_success", m.last_success);
  v("age_seconds", m.age_seconds), v("serial", m.serial), v("document", m.document);
  v("expires", m.expires), v("root_version", m.root_version), v("root_expires", m.root_expires);
  v("refusal", m.refusal), v("refused_at", m.refused_at);
}

template <class V, class M>
void members(V& v, M& m, Status*) {
  v("deployment", m.deployment), v("generation", m.generation), v("spec_digest", m.spec_digest);
  v("state", m.state), v("services", m.services), v("drift", m.drift);
  v("rollback", m.rollback), v("rollout", m.rollout);
  v("hold", m.hold), v("quarantined", m.quarantined), v("rehearsal", m.rehearsal);
  v("standby", m.standby), v("source", m.source), v("message", m.message);
  v("incomplete", m.incomplete);
  v("agent_version", m.agent_version), v("agent_since", m.agent_since);
}

template <class V, class M>
void members(V& v, M& m, HistoryItem*) {
  v("generation", m.generation), v("spec_digest", m.spec_digest), v("result", m.result);
  v("reason", m.reason), v("actor", m.actor), v("time", m.time);
  v("current", m.current), v("quarantined", m.quarantined);
}

template <class V, class M>
void members(V& v, M& m, ApplyRequest*) {
  v("document", m.document), v("file", m.file), v("reason", m.reason), v("dry_run", m.dry_run);
  v("now", m.now), v("break_glass", m.break_glass);
}

template <class V, class M>
void members(V& v, M& m, RollbackRequest*) {
  v("to", m.to), v("reason", m.reason), v("dry_run", m.dry_run);
}

template <class V, class M>
void members(V& v, M& m, Accepted*) {
  v("generation", m.generation), v("spec_digest", m.spec_digest), v("changed", m.changed);
  v("since_event", m.since_event), v("warnings", m.warnings);
}

template <class V, class M>
void members(V& v, M& m, PlanStep*) {
  v("service", m.service), v("change", m.change), v("reason", m.reason);
  v("fields", m.fields), v("relaxations", m.relaxations);
}

template <class V, class M>
void members(V& v, M& m, PlanHook*) {
  v("stage", m.stage), v("name", m.name), v("image", m.image), v("note", m.note);
  v("relaxations", m.relaxations);
}

template <class V, class M>
void members(V& v, M& m, PlanReport*) {
  v("from", m.from), v("to", m.to), v("spec_digest", m.spec_digest), v("changes", m.changes);
  v("steps", m.steps), v("hooks", m.hooks), v("images_to_pull", m.images_to_pull),
      v("warnings", m.warnings);
}

template <class V, class M>
void members(V& v, M& m, Event*) {
  v("number", m.number), v("time", m.time), v("kind", m.kind), v("generation", m.generation);
  v("service", m.service), v("message", m.message), v("detail", m.detail);
}

template <class V, class M>
void members(V& v, M& m, Outcome*) {
  v("generation", m.generation), v("result", m.result), v("seconds", m.seconds);
  v("services", m.services), v("error", m.error);
}

template <class V, class M>
void members(V& v, M& m, EventsQuery*) {
  v("after", m.after), v("follow", m.follow), v("kind", m.kind);
}

template <class V, class M>
void members(V& v, M& m, EntriesQuery*) {
  v("after", m.after), v("limit", m.limit);
}

template <class V, class M>
void members(V& v, M& m, LogsQuery*) {
  v("follow", m.follow), v("tail", m.tail), v("since", m.since);
}

template <class V, class M>
void members(V& v, M& m, LedgerHead*) {
  v("number", m.number), v("hash", m.hash);
}

template <class V, class M>
void members(V& v, M& m, LedgerEntry*) {
  v("number", m.number), v("hash", m.hash), v("kind", m.kind), v("time", m.time);
  v("actor", m.actor), v("reason", m.reason), v("generation", m.generation);
  v("spec_digest", m.spec_digest), v("service", m.service);
  v("images_before", m.images_before), v("images_after", m.images_after), v("detail", m.detail);
}

template <class V, class M>
void members(V& v, M& m, LedgerVerification*) {
  v("intact", m.intact), v("entries", m.entries), v("head", m.head), v("fault", m.fault);
}

template <class V, class M>
void members(V& v, M& m, LedgerRecoverRequest*) {
  v("dry_run", m.dry_run), v("reason", m.reason);
}

template <class V, class M>
void members(V& v, M& m, LedgerRecovery*) {
  v("dry_run", m.dry_run), v("fault", m.fault), v("base", m.base);
  v("old_head", m.old_head), v("new_head", m.new_head), v("taken_over", m.taken_over);
  v("lost_first", m.lost_first), v("lost_last", m.lost_last);
  v("lost_generations", m.lost_generations), v("generation", m.generation), v("kept", m.kept);
  v("moved_to", m.moved_to);
}

template <class V, class M>
void members(V& v, M& m, GenerationRecord*) {
  v("generation", m.generation), v("entries", m.entries);
  v("document", m.document), v("canonical", m.canonical);
}

template <class V, class M>
void members(V& v, M& m, LogLine*) {
  v("time", m.time), v("stream", m.stream), v("text", m.text), v("partial", m.partial);
}

template <class V, class M>
void members(V& v, M& m, ImageItem*) {
  v("reference", m.reference), v("digest", m.digest), v("manifest", m.manifest);
  v("bytes", m.bytes), v("layers", m.layers), v("pulled", m.pulled);
  v("needed_by", m.needed_by), v("leased_until", m.leased_until), v("leased_by", m.leased_by);
  v("verified", m.verified), v("damage", m.damage);
}

template <class V, class M>
void members(V& v, M& m, ImagePullRequest*) {
  v("image", m.image), v("until", m.until);
}

template <class V, class M>
void members(V& v, M& m, ImageVerifyRequest*) {
  v("images", m.images), v("repair", m.repair);
}

template <class V, class M>
void members(V& v, M& m, ImageExportRequest*) {
  v("image", m.image), v("path", m.path);
}

template <class V, class M>
void members(V& v, M& m, ImageImportRequest*) {
  v("path", m.path), v("reference", m.reference), v("until", m.until);
}

template <class V, class M>
void members(V& v, M& m, ImageGcRequest*) {
  v("dry_run", m.dry_run);
}

template <class V, class M>
void members(V& v, M& m, ImageGcItem*) {
  v("kind", m.kind), v("name", m.name), v("reference", m.reference), v("bytes", m.bytes);
}

template <class V, class M>
void members(V& v, M& m, ImageGcKept*) {
  v("digest", m.digest), v("reference", m.reference), v("why", m.why);
}

template <class V, class M>
void members(V& v, M& m, ImageGcReport*) {
  v("dry_run", m.dry_run), v("removed", m.removed), v("kept", m.kept), v("bytes", m.bytes);
}

template <class V, class M>
void members(V& v, M& m, ImageJob*) {
  v("job", m.job), v("operation", m.operation), v("waits_for", m.waits_for);
  v("since_event", m.since_event);
}

template <class V, class M>
void members(V& v, M& m, ImageResult*) {
  v("job", m.job), v("operation", m.operation), v("seconds", m.seconds), v("images", m.images);
  v("bytes", m.bytes), v("repaired", m.repaired), v("path", m.path), v("gc", m.gc);
  v("error", m.error);
}

template <class V, class M>
void members(V& v, M& m, VersionInfo*) {
  v("version", m.version), v("api", m.api);
}

}  // namespace holdfast::proto::api::detail
