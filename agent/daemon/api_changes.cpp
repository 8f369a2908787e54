// Routes that ask the engine for a decision. The body is read once, and what was read is what is
// executed.
#include "agent/daemon/api_call.hpp"
#include "common/log/log.hpp"
#include "proto/api/codec.hpp"

namespace holdfast::agent::daemon {
namespace {

namespace api = proto::api;

template <class T>
deploy::engine::Reply<T> answer_with(ExchangePtr exchange, unsigned (*status)(const T&)) {
  return [exchange = std::move(exchange), status](Result<T> outcome) {
    if (!outcome) return exchange->respond(outcome.error());
    exchange->respond(Response{status(*outcome), "application/json", api::encode(*outcome), ""});
  };
}

unsigned accepted_status(const api::Accepted& accepted) { return accepted.changed ? 202 : 200; }
unsigned plan_status(const api::PlanReport&) { return 200; }

Result<api::ApplyRequest> apply_request(const std::string& body) {
  auto request = api::decode<api::ApplyRequest>(body);
  if (!request) return std::move(request).error().in("request body");
  if (request->document.empty())
    return Error{Errc::usage, "request body: document is missing or empty"}.hint(
        "send the YAML as \"document\"");
  return request;
}

template <class T>
unsigned done_status(const T&) {
  return 200;
}

}  // namespace

void Api::plan(const Call& call) {
  auto request = apply_request(call.request().body);
  if (!request) return call.exchange->respond(request.error());
  parts_.engine.plan_apply(std::move(request).value(), call.actor(),
                           answer_with<api::PlanReport>(call.exchange, plan_status));
}

void Api::apply(const Call& call) {
  auto request = apply_request(call.request().body);
  if (!request) return call.exchange->respond(request.error());
  if (request->dry_run)
    return parts_.engine.plan_apply(std::move(request).value(), call.actor(),
                                    answer_with<api::PlanReport>(call.exchange, plan_status));
  log::info("event=apply_requested actor={} reason={}", log::field(call.actor()),
            log::field(request->reason));
  parts_.engine.apply(std::move(request).value(), call.actor(),
                      answer_with<api::Accepted>(call.exchange, accepted_status));
}

void Api::rollback(const Call& call) {
  auto request = api::decode<api::RollbackRequest>(call.request().body);
  if (!request) return call.exchange->respond(std::move(request).error().in("request body"));
  if (request->dry_run)
    return parts_.engine.plan_rollback(std::move(request).value(),
                                       answer_with<api::PlanReport>(call.exchange, plan_status));
  log::info("event=rollback_requested actor={} to={} reason={}", log::field(call.actor()),
            request->to, log::field(request->reason));
  parts_.engine.rollback(std::move(request).value(), call.actor(),
                         answer_with<api::Accepted>(call.exchange, accepted_status));
}

void Api::hold(const Call& call) {
  auto request = api::decode<api::HoldRequest>(call.request().body);
  if (!request) return call.exchange->respond(std::move(request).error().in("request body"));
  parts_.engine.hold(std::move(request).value(), call.actor(),
                     answer_with<api::HoldStatus>(call.exchange, done_status));
}

void Api::resume(const Call& call) {
  auto request = api::decode<api::ResumeRequest>(call.request().body);
  if (!request) return call.exchange->respond(std::move(request).error().in("request body"));
  parts_.engine.resume(std::move(request).value(), call.actor(),
                       answer_with<api::Resumed>(call.exchange, done_status));
}

void Api::quarantine_add(const Call& call) {
  auto request = api::decode<api::QuarantineRequest>(call.request().body);
  if (!request) return call.exchange->respond(std::move(request).error().in("request body"));
  parts_.engine.quarantine(std::move(request).value(), call.actor(),
                           answer_with<api::QuarantineItem>(call.exchange, done_status));
}

void Api::quarantine_release(const Call& call) {
  auto request = api::decode<api::ReleaseRequest>(call.request().body);
  if (!request) return call.exchange->respond(std::move(request).error().in("request body"));
  parts_.engine.release(std::move(request).value(), call.actor(),
                        answer_with<api::QuarantineItem>(call.exchange, done_status));
}

void Api::rehearse(const Call& call) {
  auto request = api::decode<api::RehearseRequest>(call.request().body);
  if (!request) return call.exchange->respond(std::move(request).error().in("request body"));
  parts_.engine.rehearse(std::move(request).value(), call.actor(),
                         answer_with<api::Accepted>(call.exchange, accepted_status));
}

void Api::standby_drop(const Call& call) {
  auto request = api::decode<api::StandbyDropRequest>(call.request().body);
  if (!request) return call.exchange->respond(std::move(request).error().in("request body"));
  parts_.engine.drop_standby(std::move(request).value(), call.actor(),
                             answer_with<api::StandbyDropped>(call.exchange, done_status));
}

/// What would be is worked out on a job thread; what is wished is done by the next start, when
/// nobody else has the files.
void Api::ledger_recover(const Call& call) {
  auto request = api::decode<api::LedgerRecoverRequest>(call.request().body);
  if (!request) return call.exchange->respond(std::move(request).error().in("request body"));
  const bool started = ledger_jobs_.start([plan = parts_.plan_recovery, recover = parts_.recover,
                                           exchange = call.exchange, request = *request,
                                           actor = call.actor()](const std::stop_token&) {
    auto report = plan();
    if (!report) return exchange->respond(std::move(report).error());
    report->dry_run = request.dry_run;
    if (!request.dry_run) {
      if (auto wished = recover({actor, request.reason}); !wished)
        return exchange->respond(std::move(wished).error());
    }
    exchange->respond(
        Response{request.dry_run ? 200U : 202U, "application/json", api::encode(*report), ""});
  });
  if (!started)
    call.exchange->respond(
        Error{Errc::busy, "too many requests read the ledger"}.hint("try again"));
}

}  // namespace holdfast::agent::daemon
