#include "deploy/engine/commands/services.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/text.hpp"
#include "deploy/engine/commands/holds_and_quarantine.hpp"

namespace holdfast::deploy::engine {
namespace {

Error not_declared(const std::string& service, const proto::Deployment* document) {
  auto error =
      Error{Errc::not_found, fmt::format("no service {} is declared here", printable(service))};
  if (document == nullptr) return error;
  std::string names;
  for (const auto& [name, declared] : document->services)
    names += (names.empty() ? "" : ", ") + name.str();
  return std::move(error).hint("declared: " + names);
}

}  // namespace

Result<const plan::InstanceView*> ServiceCommands::find(const std::string& service) const {
  const auto& progress = parts_.journal.progress();
  const auto document = parts_.generations.document(parts_.journal.effective());
  const plan::ServiceName name{service};
  if (!document || !document->services.contains(name)) return not_declared(service, document.get());
  if (plan::has_begun(progress))
    return Error{Errc::conflict, fmt::format("generation {} is being rolled out ({})",
                                             progress.rollout->target.value(),
                                             plan::to_string(progress.rollout->phase))}
        .hint("wait for its end (holdfast events --follow), or end it: holdfast rollback");
  const auto serving = progress.serving.find(name);
  if (serving == progress.serving.end()) return static_cast<const plan::InstanceView*>(nullptr);
  const auto seen = parts_.observed.instances.find(serving->second);
  return seen == parts_.observed.instances.end() ? nullptr : &seen->second;
}

proto::api::ServiceChange ServiceCommands::change(const std::string& service,
                                                  const plan::InstanceView* view) const {
  proto::api::ServiceChange change;
  change.service = service;
  change.since_event = parts_.events.last();
  if (view != nullptr) {
    change.instance = view->seen.id.str();
    change.restarts = view->seen.starts > 0 ? view->seen.starts - 1 : 0;
  }
  return change;
}

Result<proto::api::ServiceChange> ServiceCommands::stop(
    const proto::api::ServiceStopRequest& request, const Actor& actor) {
  HF_TRY(need_reason(request.reason));
  HF_ASSIGN(const auto until, parse_until(request.until, parts_.ports.clock.wall()));
  HF_ASSIGN(const auto* view, find(request.service));
  const plan::ServiceName name{request.service};
  auto& journal = parts_.journal;
  auto answer = change(request.service, view);
  const auto known = parts_.generations.document(journal.effective());
  for (const auto& [other, declared] : known->services) {
    const auto& needs = declared.depends_on;
    if (std::find(needs.begin(), needs.end(), name) != needs.end())
      answer.warnings.push_back(
          fmt::format("{} depends on {} and goes on without it", other.str(), request.service));
  }
  auto note = journal.entry(proto::EntryKind::stopped, actor, request.reason, journal.effective());
  note.service = request.service;
  if (until) note.detail["until"] = to_rfc3339(*until);
  const plan::Hold stop{actor, request.reason, parts_.ports.clock.wall(), until};
  HF_TRY(journal.advance(plan::stop_service(journal.progress(), name, stop),
                         {.entries = {std::move(note)}}));
  answer.stopped = hold_status(stop);
  return answer;
}

Result<proto::api::ServiceChange> ServiceCommands::start(
    const proto::api::ServiceStartRequest& request, const Actor& actor) {
  HF_ASSIGN(const auto* view, find(request.service));
  const auto& progress = parts_.journal.progress();
  const plan::ServiceName name{request.service};
  const bool runs = view != nullptr && view->seen.state == plan::InstanceState::running;
  if (progress.stopped.contains(name) || !runs)
    return begin(proto::EntryKind::started, request.service, request.reason, actor);
  auto answer = change(request.service, view);
  answer.changed = false;
  return answer;
}

Result<proto::api::ServiceChange> ServiceCommands::restart(
    const proto::api::ServiceRestartRequest& request, const Actor& actor) {
  return begin(proto::EntryKind::restarted, request.service, request.reason, actor);
}

Result<std::monostate> ServiceCommands::record_exec(const requests::ExecRecord& record,
                                                    const Actor& actor) {
  auto& journal = parts_.journal;
  auto note = journal.entry(record.kind, actor, {}, journal.effective());
  note.service = record.service;
  note.detail = record.detail;
  HF_TRY(journal.commit({.entries = {std::move(note)}}));
  return std::monostate{};
}

Result<proto::api::ServiceChange> ServiceCommands::begin(proto::EntryKind kind,
                                                         const std::string& service,
                                                         const std::string& reason,
                                                         const Actor& actor) {
  HF_ASSIGN(const auto* view, find(service));
  auto& journal = parts_.journal;
  auto answer = change(service, view);
  auto note = journal.entry(kind, actor, reason, journal.effective());
  note.service = service;
  if (view != nullptr) note.detail["instance"] = view->seen.id.str();
  HF_TRY(journal.advance(
      plan::restart_service(journal.progress(), parts_.observed, plan::ServiceName{service}),
      {.entries = {std::move(note)}}));
  parts_.observed.job_failures.erase(plan::ServiceName{service});
  return answer;
}

}  // namespace holdfast::deploy::engine
