#include "agent/cli/agent_client.hpp"

#include <fmt/format.h>

#include <utility>

#include "proto/api/codec.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;

constexpr Milliseconds kVerify{600'000};

Errc errc_of(const HttpResponse& response, const api::ErrorBody& body) {
  if (const auto known = errc_from_code(body.code))
    return *known == Errc::unreachable ? Errc::registry : *known;
  switch (response.status) {
    case 401:
    case 403:
      return Errc::perm;
    case 404:
      return Errc::not_found;
    case 409:
      return Errc::conflict;
    case 413:
      return Errc::too_large;
    default:
      return Errc::internal;
  }
}

Error refusal(const HttpResponse& response, std::string_view target) {
  const auto body = api::decode<api::ErrorBody>(response.body);
  if (!body || body->message.empty())
    return Error{errc_of(response, {}),
                 fmt::format("the agent answered {} to {}", response.status, target)}
        .hint("check that client and agent have the same version: holdfast version");
  return Error{errc_of(response, *body), body->message}.hint(body->next);
}

template <class T>
Result<T> decoded(std::string_view body) {
  auto value = api::decode<T>(body);
  if (value) return value;
  return Error{Errc::internal, "the agent's answer is not understood: " + value.error().what()}
      .hint("check that client and agent have the same version: holdfast version");
}

template <class T>
Result<Answer<T>> answer(Result<std::string> body) {
  if (!body) return std::move(body).error();
  HF_ASSIGN(auto value, decoded<T>(*body));
  return Answer<T>{std::move(value), std::move(body).value()};
}

}  // namespace

Result<std::optional<api::Event>> EventStream::next(std::optional<BootTime> deadline) {
  while (taken_ == ready_.size()) {
    HF_ASSIGN(const auto piece, stream_.next(deadline));
    if (!piece) return std::optional<api::Event>{};
    HF_ASSIGN(ready_, parser_.feed(*piece));
    taken_ = 0;
  }
  const auto& raw = ready_[taken_++];
  HF_ASSIGN(auto event, decoded<api::Event>(raw.data));
  if (event.kind.empty()) event.kind = raw.kind;
  return std::optional<api::Event>{std::move(event)};
}

Result<std::string> AgentClient::call(const HttpRequest& request, Milliseconds timeout) {
  HF_ASSIGN(auto response, http_.send(request, timeout));
  if (response.status >= 200 && response.status < 300) return std::move(response.body);
  return refusal(response, request.target);
}

Result<HttpStream> AgentClient::stream(const HttpRequest& request) {
  HF_ASSIGN(auto stream, http_.open(request, kAnswer));
  if (stream.status() >= 200 && stream.status() < 300) return stream;
  HttpResponse response{stream.status(), stream.content_type(), {}};
  for (;;) {
    HF_ASSIGN(auto piece, stream.next(std::nullopt));
    if (!piece) return refusal(response, request.target);
    response.body += *piece;
  }
}

Result<Answer<api::Status>> AgentClient::status(Milliseconds timeout) {
  return answer<api::Status>(call({.target = "/v1/status"}, timeout));
}

Result<Answer<std::vector<api::HistoryItem>>> AgentClient::history(Milliseconds timeout) {
  return answer<std::vector<api::HistoryItem>>(call({.target = "/v1/history"}, timeout));
}

Result<Answer<api::GenerationRecord>> AgentClient::generation(std::uint64_t number) {
  return answer<api::GenerationRecord>(call({.target = fmt::format("/v1/generations/{}", number)}));
}

Result<Answer<std::vector<api::DriftItem>>> AgentClient::drift() {
  return answer<std::vector<api::DriftItem>>(call({.target = "/v1/drift"}));
}

Result<Answer<api::PlanReport>> AgentClient::plan(const api::ApplyRequest& request) {
  return answer<api::PlanReport>(
      call({.method = "POST", .target = "/v1/plan", .body = api::encode(request)}));
}

Result<Answer<api::PlanReport>> AgentClient::plan(const api::RollbackRequest& request) {
  auto dry = request;
  dry.dry_run = true;
  return answer<api::PlanReport>(
      call({.method = "POST", .target = "/v1/rollback", .body = api::encode(dry)}));
}

Result<Answer<api::Accepted>> AgentClient::apply(const api::ApplyRequest& request) {
  return answer<api::Accepted>(
      call({.method = "POST", .target = "/v1/apply", .body = api::encode(request)}));
}

Result<Answer<api::Accepted>> AgentClient::rollback(const api::RollbackRequest& request) {
  return answer<api::Accepted>(
      call({.method = "POST", .target = "/v1/rollback", .body = api::encode(request)}));
}

Result<Answer<api::HoldStatus>> AgentClient::hold(const api::HoldRequest& request) {
  return answer<api::HoldStatus>(
      call({.method = "POST", .target = "/v1/hold", .body = api::encode(request)}));
}

Result<Answer<api::Resumed>> AgentClient::resume(const api::ResumeRequest& request) {
  return answer<api::Resumed>(
      call({.method = "POST", .target = "/v1/resume", .body = api::encode(request)}));
}

Result<Answer<std::vector<api::QuarantineItem>>> AgentClient::quarantine() {
  return answer<std::vector<api::QuarantineItem>>(call({.target = "/v1/quarantine"}));
}

Result<Answer<api::QuarantineItem>> AgentClient::quarantine_add(
    const api::QuarantineRequest& request) {
  return answer<api::QuarantineItem>(
      call({.method = "POST", .target = "/v1/quarantine/add", .body = api::encode(request)}));
}

Result<Answer<api::Accepted>> AgentClient::rehearse(const api::RehearseRequest& request) {
  return answer<api::Accepted>(
      call({.method = "POST", .target = "/v1/rehearse", .body = api::encode(request)}));
}

Result<Answer<api::StandbyDropped>> AgentClient::standby_drop(
    const api::StandbyDropRequest& request) {
  return answer<api::StandbyDropped>(
      call({.method = "POST", .target = "/v1/standby/drop", .body = api::encode(request)}));
}

Result<Answer<api::QuarantineItem>> AgentClient::quarantine_release(
    const api::ReleaseRequest& request) {
  return answer<api::QuarantineItem>(
      call({.method = "POST", .target = "/v1/quarantine/release", .body = api::encode(request)}));
}

Result<EventStream> AgentClient::events(std::uint64_t after, Follow follow) {
  HF_ASSIGN(auto opened, stream({.target = fmt::format("/v1/events?after={}{}", after,
                                                       follow == Follow::yes ? "&follow=1" : "")}));
  return EventStream{std::move(opened)};
}

Result<Answer<std::vector<api::LedgerEntry>>> AgentClient::ledger_entries(std::uint64_t after,
                                                                          std::uint64_t limit) {
  return answer<std::vector<api::LedgerEntry>>(
      call({.target = fmt::format("/v1/ledger/entries?after={}&limit={}", after, limit)}));
}

Result<Answer<api::LedgerHead>> AgentClient::ledger_head() {
  return answer<api::LedgerHead>(call({.target = "/v1/ledger/head"}));
}

Result<Answer<api::LedgerVerification>> AgentClient::ledger_verify() {
  return answer<api::LedgerVerification>(
      call({.method = "POST", .target = "/v1/ledger/verify"}, kVerify));
}

Result<Answer<api::LedgerRecovery>> AgentClient::ledger_recover(
    const api::LedgerRecoverRequest& request) {
  return answer<api::LedgerRecovery>(call(
      {.method = "POST", .target = "/v1/ledger/recover", .body = api::encode(request)}, kVerify));
}

Result<Answer<std::vector<api::ImageItem>>> AgentClient::images(Milliseconds timeout) {
  return answer<std::vector<api::ImageItem>>(call({.target = "/v1/images"}, timeout));
}

Result<Answer<api::ImageGcReport>> AgentClient::image_gc_plan() {
  return answer<api::ImageGcReport>(call({.method = "POST",
                                          .target = "/v1/images/gc",
                                          .body = api::encode(api::ImageGcRequest{true})}));
}

Result<Answer<api::ImageJob>> AgentClient::image_gc() {
  return answer<api::ImageJob>(call(
      {.method = "POST", .target = "/v1/images/gc", .body = api::encode(api::ImageGcRequest{})}));
}

Result<Answer<api::ImageJob>> AgentClient::image_pull(const api::ImagePullRequest& request) {
  return answer<api::ImageJob>(
      call({.method = "POST", .target = "/v1/images/pull", .body = api::encode(request)}));
}

Result<Answer<api::ImageJob>> AgentClient::image_export(const api::ImageExportRequest& request) {
  return answer<api::ImageJob>(
      call({.method = "POST", .target = "/v1/images/export", .body = api::encode(request)}));
}

Result<Answer<api::ImageJob>> AgentClient::image_import(const api::ImageImportRequest& request) {
  return answer<api::ImageJob>(
      call({.method = "POST", .target = "/v1/images/import", .body = api::encode(request)}));
}

Result<Answer<api::ImageJob>> AgentClient::image_verify(const api::ImageVerifyRequest& request) {
  return answer<api::ImageJob>(
      call({.method = "POST", .target = "/v1/images/verify", .body = api::encode(request)}));
}

Result<HttpStream> AgentClient::logs(const LogQuery& query) {
  auto target =
      fmt::format("/v1/logs/{}?follow={}", url_encode(query.service), query.follow ? 1 : 0);
  if (query.tail) target += fmt::format("&tail={}", *query.tail);
  if (!query.since.empty()) target += "&since=" + url_encode(query.since);
  return stream({.target = target});
}

Result<Answer<api::VersionInfo>> AgentClient::version(Milliseconds timeout) {
  return answer<api::VersionInfo>(call({.target = "/v1/version"}, timeout));
}

}  // namespace holdfast::agent::cli
