#include "agent/cli/client/agent_client.hpp"

#include <fmt/format.h>

#include <utility>

#include "common/url/url.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;

constexpr std::string_view kLookFirst =
    "it may have been accepted nevertheless: look at \"holdfast status\" and \"holdfast history\" "
    "before asking again";

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

}  // namespace

Error AgentClient::not_understood(const Error& error) {
  return Error{Errc::internal, "the agent's answer is not understood: " + error.what()}.hint(
      "check that client and agent have the same version: holdfast version");
}

Result<std::optional<api::Event>> EventStream::next(std::optional<BootTime> deadline) {
  while (taken_ == ready_.size()) {
    HF_ASSIGN(const auto piece, stream_.next(deadline));
    if (!piece) return std::optional<api::Event>{};
    HF_ASSIGN(ready_, parser_.feed(*piece));
    taken_ = 0;
  }
  const auto& raw = ready_[taken_++];
  auto event = api::decode<api::Event>(raw.data);
  if (!event) return AgentClient::not_understood(event.error());
  if (event->kind.empty()) event->kind = raw.kind;
  return std::optional<api::Event>{std::move(event).value()};
}

HttpRequest AgentClient::request_of(const api::OperationRow& row, Asked asked) {
  HttpRequest request;
  request.method = to_string(row.method);
  request.target = row.path;
  if (const auto hole = request.target.find("{}"); hole != std::string::npos)
    request.target.replace(hole, 2, url::encode(asked.argument));
  char before = '?';
  for (const auto& [name, value] : asked.query)
    request.target += fmt::format("{}{}={}", std::exchange(before, '&'), name, url::encode(value));
  request.body = std::move(asked.body);
  if (row.repeat == api::Repeat::repeats_the_effect) request.if_cut_off = kLookFirst;
  return request;
}

Result<std::string> AgentClient::send(const api::OperationRow& row, Asked asked,
                                      Milliseconds timeout) const {
  const auto request = request_of(row, std::move(asked));
  HF_ASSIGN(auto response, http_.send(request, timeout));
  if (response.status >= 200 && response.status < 300) return std::move(response.body);
  return refusal(response, request.target);
}

Result<HttpStream> AgentClient::open(const HttpRequest& request, Milliseconds timeout) const {
  constexpr unsigned kSwitching = 101;
  HF_ASSIGN(auto stream, http_.open(request, timeout));
  if (stream.status() >= 200 && stream.status() < 300 && request.upgrade.empty()) return stream;
  if (stream.status() == kSwitching && !request.upgrade.empty()) return stream;
  HttpResponse response{stream.status(), stream.content_type(), {}};
  for (;;) {
    HF_ASSIGN(auto piece, stream.next(std::nullopt));
    if (!piece) return refusal(response, request.target);
    response.body += *piece;
  }
}

}  // namespace holdfast::agent::cli
