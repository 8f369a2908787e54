// Handlers that ask the engine for a decision.
#include "agent/daemon/api.hpp"
#include "common/log/log.hpp"

namespace holdfast::agent::daemon {
namespace {

namespace api = proto::api;

Status check_document(const api::ApplyRequest& request) {
  if (!request.document.empty()) return ok();
  return Error{Errc::usage, "request body: document is missing or empty"}.hint(
      "send the YAML as \"document\"");
}

}  // namespace

void Api::handle(const CallOf<"plan">& call) {
  if (const auto checked = check_document(call.asked); !checked)
    return call.answer(checked.error());
  parts_.engine.plan_apply(call.asked, call.actor(), call.answer);
}

void Api::handle(const CallOf<"apply">& call) {
  if (const auto checked = check_document(call.asked); !checked)
    return call.answer(checked.error());
  if (call.asked.dry_run) return parts_.engine.plan_apply(call.asked, call.actor(), call.answer);
  log::info("event=apply_requested actor={} reason={}", log::field(call.actor().name),
            log::field(call.asked.reason));
  parts_.engine.apply(call.asked, call.actor(), call.answer);
}

void Api::handle(const CallOf<"rollback">& call) {
  if (call.asked.dry_run) return parts_.engine.plan_rollback(call.asked, call.actor(), call.answer);
  log::info("event=rollback_requested actor={} to={} reason={}", log::field(call.actor().name),
            call.asked.to, log::field(call.asked.reason));
  parts_.engine.rollback(call.asked, call.actor(), call.answer);
}

void Api::handle(const CallOf<"hold">& call) {
  parts_.engine.hold(call.asked, call.actor(), call.answer);
}

void Api::handle(const CallOf<"sync">& call) {
  parts_.sync([answer = call.answer](const Result<api::SourceStatus>& status) { answer(status); });
}

void Api::handle(const CallOf<"resume">& call) {
  parts_.engine.resume(call.asked, call.actor(), call.answer);
}

void Api::handle(const CallOf<"quarantine_add">& call) {
  parts_.engine.quarantine(call.asked, call.actor(), call.answer);
}

void Api::handle(const CallOf<"quarantine_release">& call) {
  parts_.engine.release(call.asked, call.actor(), call.answer);
}

void Api::handle(const CallOf<"rehearse">& call) {
  parts_.engine.rehearse(call.asked, call.actor(), call.answer);
}

void Api::handle(const CallOf<"standby_drop">& call) {
  parts_.engine.drop_standby(call.asked, call.actor(), call.answer);
}

void Api::handle(const CallOf<"service_stop">& call) {
  parts_.engine.stop_service(call.asked, call.actor(), call.answer);
}

void Api::handle(const CallOf<"service_start">& call) {
  parts_.engine.start_service(call.asked, call.actor(), call.answer);
}

void Api::handle(const CallOf<"service_restart">& call) {
  parts_.engine.restart_service(call.asked, call.actor(), call.answer);
}

void Api::handle(const CallOf<"shutdown">& call) {
  parts_.engine.shutdown(call.asked, call.actor(), call.answer);
}

/// What would be is worked out on a job thread; what is asked for is done by the next start, when
/// nobody else has the files.
void Api::handle(const CallOf<"ledger_recover">& call) {
  const auto begin = [plan = parts_.plan_recovery, recover = parts_.recover, answer = call.answer,
                      request = call.asked, actor = call.actor()](const std::stop_token&) {
    auto report = plan();
    if (!report) return answer(report.error());
    report->dry_run = request.dry_run;
    if (!request.dry_run) {
      if (const auto begun = recover({actor, request.reason}); !begun) return answer(begun.error());
    }
    answer(*report);
  };
  if (auto started = ledger_jobs_.start(call.request(), call.role, begin); !started)
    call.answer(started.error());
}

}  // namespace holdfast::agent::daemon
