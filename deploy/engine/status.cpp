#include "deploy/engine/status.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/text.hpp"
#include "deploy/engine/commands/holds_and_quarantine.hpp"
#include "deploy/engine/commands/rehearsals.hpp"
#include "deploy/engine/commands/standby.hpp"

namespace holdfast::deploy::engine {
namespace {

using plan::InstanceState;
using proto::api::DeploymentState;
using proto::api::ServiceState;

const proto::Deployment* shown_document(const StatusInput& in) {
  const auto effective = plan::effective_generation(in.progress);
  const auto found =
      in.observed.documents.find(effective.value() == 0 ? in.progress.current : effective);
  return found == in.observed.documents.end() ? nullptr : found->second.get();
}

/// It ended again and again since it last ran for ten minutes.
bool is_crash_looping(const StatusInput& in, const plan::ServiceName& service) {
  constexpr std::uint32_t kLoop = 3;
  const auto found = in.progress.restarts.find(service);
  return found != in.progress.restarts.end() && found->second.attempts >= kLoop;
}

std::string crash_loop_text(const StatusInput& in, const plan::ServiceName& service) {
  const auto& restarts = in.progress.restarts.at(service);
  const auto counters = in.counters.workloads.find(service.str());
  const auto left = restarts.last + plan::restart_delay(restarts.attempts) - in.boot;
  return fmt::format(
      "crash loop: started again {} times, last exit code {}{}", restarts.attempts,
      counters == in.counters.workloads.end() ? 0 : counters->second.last_exit_code,
      left > BootClock::duration::zero() ? ", next try in " + human_duration(left) : "");
}

/// It ran before the agent started, and nobody has had the time to ask it since: a healthy service
/// is not unwell for some milliseconds because the agent was started again.
bool is_yet_to_be_asked(const StatusInput& in, const plan::InstanceView& view) {
  constexpr Milliseconds kFirstAnswers{2'000};
  return view.seen.state == InstanceState::running && view.seen.started_boot < in.since_boot &&
         view.health.judged == BootTime{} && in.boot - in.since_boot < kFirstAnswers;
}

bool is_yet_to_be_asked(const StatusInput& in, const std::string& service) {
  const auto serving = in.progress.serving.find(plan::ServiceName{service});
  if (serving == in.progress.serving.end()) return false;
  const auto found = in.observed.instances.find(serving->second);
  return found != in.observed.instances.end() && is_yet_to_be_asked(in, found->second);
}

std::string publish_text(const proto::PublishedPort& port) {
  return fmt::format("{}{}:{}/{}", port.host_ip.empty() ? "" : port.host_ip + ":", port.host_port,
                     port.container_port, port.transport == proto::Transport::tcp ? "tcp" : "udp");
}

void fill_absent(const StatusInput& in, const plan::ServiceName& name, const proto::Service& wanted,
                 proto::api::ServiceStatus& status) {
  const auto image = in.observed.images.find(wanted.image.digest);
  const bool known = image != in.observed.images.end();
  const bool pulling = known && image->second.state == plan::ImageView::State::pulling;
  status.state = pulling                                   ? ServiceState::pulling
                 : in.observed.busy.contains(name)         ? ServiceState::starting
                 : in.observed.job_failures.contains(name) ? ServiceState::backoff
                 : in.progress.rollout                     ? ServiceState::pending
                                                           : ServiceState::missing;
  if (status.detail.empty() && known && image->second.error)
    status.detail = image->second.error->to_string();
}

std::string end_text(const plan::ExitInfo& exit, const proto::Service& wanted) {
  return fmt::format("{}{}",
                     exit.oom ? std::string{"killed for using too much memory"}
                              : fmt::format("exited with code {}", exit.code),
                     wanted.restart == proto::Restart::never
                         ? "; not started again, as its document says restart: no"
                         : "");
}

ServiceState state_of(InstanceState seen, const proto::Service& wanted) {
  switch (seen) {
    case InstanceState::creating:
      return ServiceState::creating;
    case InstanceState::running:
      return ServiceState::running;
    case InstanceState::frozen:
      return ServiceState::frozen;
    case InstanceState::exited:
      return wanted.restart == proto::Restart::never ? ServiceState::exited : ServiceState::backoff;
    case InstanceState::unsupervised:
      return ServiceState::unsupervised;
    case InstanceState::broken:
      break;
  }
  return ServiceState::broken;
}

void fill_present(const StatusInput& in, const plan::ServiceName& name,
                  const proto::Service& wanted, const plan::InstanceView& view,
                  proto::api::ServiceStatus& status) {
  status.restarts = view.seen.starts > 0 ? view.seen.starts - 1 : 0;
  const auto& [seen, health] = view;
  status.instance = seen.id.str();
  status.pid = seen.pid;
  if (seen.address != 0) status.address = plan::address_text(seen.address);
  if (seen.pid != 0) status.since = to_rfc3339(seen.started);
  status.state = state_of(seen.state, wanted);
  if (wanted.health)
    status.health =
        health.state == plan::HealthState::none ? plan::HealthState::starting : health.state;
  if (status.detail.empty() && status.crash_looping) status.detail = crash_loop_text(in, name);
  if (status.detail.empty() && seen.exit && seen.state == InstanceState::exited)
    status.detail = end_text(*seen.exit, wanted);
  if (status.detail.empty() && wanted.health && is_yet_to_be_asked(in, view))
    status.detail = "the agent has just started, and has yet to ask it";
  if (status.detail.empty() && status.health == "starting" && seen.state == InstanceState::running)
    status.detail =
        fmt::format("{}{}{}", plan::start_grace_text(wanted, plan::last_start(in.progress, name)),
                    health.detail.empty() ? "" : ": ", health.detail);
  if (status.detail.empty() && status.health != "healthy") status.detail = health.detail;
}

proto::api::ServiceStatus service_status(const StatusInput& in, const plan::ServiceName& name,
                                         const proto::Service& wanted) {
  proto::api::ServiceStatus status;
  status.name = name.str();
  status.image = wanted.image.str();
  status.digest = wanted.image.digest.str();
  status.health = "none";
  status.crash_looping = is_crash_looping(in, name);
  for (const auto& port : wanted.publish) status.publish.push_back(publish_text(port));
  const auto image = in.observed.images.find(wanted.image.digest);
  if (image != in.observed.images.end() && image->second.manifest)
    status.manifest = image->second.manifest->str();
  if (const auto failed = in.observed.job_failures.find(name);
      failed != in.observed.job_failures.end())
    status.detail = failed->second.error.to_string();
  const auto serving = in.progress.serving.find(name);
  const auto found = serving == in.progress.serving.end()
                         ? in.observed.instances.end()
                         : in.observed.instances.find(serving->second);
  const auto stop = in.progress.stopped.find(name);
  auto completed = plan::completed_at(in.progress, name, wanted);
  if (found != in.observed.instances.end() &&
      plan::completes_now(in.progress, found->second, name, wanted))
    completed = in.wall;
  if (stop != in.progress.stopped.end()) {
    if (found != in.observed.instances.end()) {
      fill_present(in, name, wanted, found->second, status);
      status.health = "none";
    }
    const bool ended = status.pid == 0;
    if (ended) status.state = "stopped";
    if (ended) status.since = to_rfc3339(stop->second.since);
    status.detail = (ended ? "" : "is being stopped: ") + plan::stop_text(stop->second);
    return status;
  }
  if (completed && (found == in.observed.instances.end() || found->second.seen.pid == 0)) {
    status.state = "completed";
    status.since = to_rfc3339(*completed);
    if (found != in.observed.instances.end()) {
      const auto& seen = found->second.seen;
      status.instance = seen.id.str();
      status.restarts = seen.starts > 0 ? seen.starts - 1 : 0;
    }
  } else if (found == in.observed.instances.end()) {
    fill_absent(in, name, wanted, status);
  } else {
    fill_present(in, name, wanted, found->second, status);
  }
  return status;
}

/// What the rollout waits for; the last that is found counts most.
void fill_waiting_for(const StatusInput& in, const plan::Rollout& rollout,
                      proto::api::RolloutStatus& status) {
  const auto waits = [&status](const std::string& service, const std::string& what) {
    status.service = service;
    status.waiting_for = service.empty() ? what : service + ": " + what;
  };
  for (const auto& [name, id] : rollout.fresh) {
    const auto view = in.observed.instances.find(id);
    if (view == in.observed.instances.end()) {
      waits(name.str(), "being created");
    } else if (view->second.health.state != plan::HealthState::healthy &&
               !view->second.health.detail.empty()) {
      waits(name.str(), view->second.health.detail);
    }
  }
  for (const auto& [digest, image] : in.observed.images) {
    if (image.state == plan::ImageView::State::failed && image.error &&
        rollout.phase == plan::Phase::staging)
      waits({}, image.error->to_string());
  }
  for (const auto& [name, hook] : plan::hooks_under_way(in.progress, in.observed)) waits({}, hook);
}

std::optional<proto::api::RolloutStatus> rollout_status(const StatusInput& in) {
  if (!in.progress.rollout) return std::nullopt;
  const auto& r = *in.progress.rollout;
  proto::api::RolloutStatus rollout;
  rollout.generation = r.target.value();
  rollout.phase = r.phase;
  rollout.seconds = std::chrono::duration<double>(in.boot - r.started).count();
  fill_waiting_for(in, r, rollout);
  if (r.phase != plan::Phase::waiting) return rollout;
  if (const auto wait = plan::waits_for(in.progress, in.observed)) {
    rollout.waiting_for = wait->text;
    rollout.service.clear();
    if (wait->until) rollout.begins = to_rfc3339(*wait->until);
  }
  return rollout;
}

/// One that starts, or has yet to answer its probe, gets no traffic so far.
bool is_unwell(const StatusInput& in, const proto::api::ServiceStatus& s) {
  return s.state == "backoff" || s.state == "exited" || s.state == "missing" ||
         s.state == "pulling" || s.state == "starting" || s.health == "unhealthy" ||
         (s.health == "starting" && !is_yet_to_be_asked(in, s.name));
}

/// The first drift that somebody or the agent should act on. A root that may be written to is
/// written to: that alone is told, and nothing to act on.
const proto::api::DriftItem* first_unsettling(const proto::api::Status& status) {
  const auto found = std::find_if(status.drift.begin(), status.drift.end(), [](const auto& item) {
    return item.kind != "writes" || item.action != "report";
  });
  return found == status.drift.end() ? nullptr : &*found;
}

std::string why_degraded(const proto::api::Status& status) {
  for (const auto& s : status.services) {
    if (!s.detail.empty()) return s.name + ": " + s.detail;
  }
  for (const auto& s : status.services) {
    if (s.state == "starting" || s.health == "starting")
      return s.name + ": has yet to answer its probe";
  }
  const auto* unsettling = first_unsettling(status);
  return unsettling == nullptr ? std::string{} : unsettling->evidence;
}

bool is_degraded(const StatusInput& in, const proto::api::Status& status) {
  const auto& services = status.services;
  return std::any_of(services.begin(), services.end(),
                     [&](const auto& s) { return s.crash_looping || is_unwell(in, s); }) ||
         first_unsettling(status) != nullptr || !in.observed.job_failures.empty();
}

struct State {
  DeploymentState state;
  std::string message;
};

/// Before anything is declared, or where what is declared was lost.
std::optional<State> state_without_document(const StatusInput& in,
                                            const proto::api::Status& status) {
  if (in.progress.current.value() != 0) return std::nullopt;
  if (!in.progress.kept.empty())
    return State{
        DeploymentState::degraded,
        fmt::format("{} instances run as they are, but the ledger lost what declares them; "
                    "next: apply their document again, which takes them over",
                    in.progress.kept.size())};
  if (in.progress.hold || status.quarantined) return std::nullopt;
  return State{DeploymentState::empty, in.records.history.empty()
                                           ? "nothing has been applied yet"
                                           : "nothing runs: " + in.records.history.front().reason};
}

/// What keeps changes from happening.
std::optional<State> state_held(const proto::api::Status& status) {
  if (status.hold)
    return State{DeploymentState::held,
                 fmt::format("changes wait{}, by {}: {}",
                             status.hold->until.empty() ? "" : " until " + status.hold->until,
                             status.hold->actor, status.hold->reason)};
  if (status.quarantined)
    return State{DeploymentState::held,
                 fmt::format("what {} declares is quarantined: {}", status.quarantined->source,
                             status.quarantined->reason)};
  return std::nullopt;
}

std::string going_down_text(const StatusInput& in) {
  std::string left;
  for (const auto& name : plan::living(in.progress, in.observed))
    left += (left.empty() ? "; yet to end: " : ", ") + name.str();
  return "the host goes down" + left;
}

State overall(const StatusInput& in, const proto::api::Status& status) {
  const bool waiting = plan::is_waiting(in.progress);
  if (in.observed.shutdown) return {DeploymentState::held, going_down_text(in)};
  if (in.refusal)
    return {DeploymentState::degraded,
            fmt::format("{}; next: {}", in.refusal->fault, in.refusal->next)};
  if (in.progress.rollout && !waiting)
    return {in.progress.rollout->phase == plan::Phase::reverting ? DeploymentState::reverting
                                                                 : DeploymentState::rolling,
            {}};
  if (auto state = state_without_document(in, status)) return *state;
  const bool serves = !waiting || in.progress.rollout->from.value() != 0;
  if (serves && is_degraded(in, status)) return {DeploymentState::degraded, why_degraded(status)};
  if (!in.disk_low.empty()) return {DeploymentState::degraded, in.disk_low};
  if (auto state = state_held(status)) return *state;
  if (waiting)
    return {DeploymentState::waiting,
            fmt::format("generation {} waits: {}", status.rollout->generation,
                        status.rollout->waiting_for)};
  const auto hooks = plan::hooks_under_way(in.progress, in.observed);
  if (!hooks.empty()) return {DeploymentState::converged, hooks.begin()->second};
  const auto* document = shown_document(in);  // none before it is read
  const auto warnings = document == nullptr ? std::vector<std::string>{}
                                            : plan::stop_warnings(in.progress, *document);
  return {DeploymentState::converged, warnings.empty() ? std::string{} : warnings.front()};
}

}  // namespace

namespace {

/// What serves though its document cannot be read, as it is seen.
std::vector<proto::api::ServiceStatus> undeclared(const StatusInput& in) {
  std::vector<proto::api::ServiceStatus> services;
  for (const auto& [name, id] : in.progress.serving) {
    const auto found = in.observed.instances.find(id);
    if (found == in.observed.instances.end()) continue;
    const auto& seen = found->second.seen;
    proto::api::ServiceStatus status;
    status.name = name.str();
    status.digest = seen.image.str();
    status.manifest = seen.manifest.str();
    status.state =
        seen.state == InstanceState::running ? ServiceState::running : ServiceState::exited;
    status.health = proto::api::HealthState::none;
    status.instance = id.str();
    status.pid = seen.pid;
    if (seen.address != 0) status.address = plan::address_text(seen.address);
    if (seen.pid != 0) status.since = to_rfc3339(seen.started);
    status.detail = "its document cannot be read: it is left as it is, and not started again";
    services.push_back(std::move(status));
  }
  return services;
}

}  // namespace

std::vector<proto::api::ServiceStatus> services_status(const StatusInput& in) {
  std::vector<proto::api::ServiceStatus> services;
  const auto* document = shown_document(in);
  if (document == nullptr) return undeclared(in);
  for (const auto& [name, wanted] : document->services)
    services.push_back(service_status(in, name, wanted));
  return services;
}

proto::api::Status make_status(const StatusInput& in) {
  proto::api::Status status;
  const auto* document = shown_document(in);
  status.deployment = document != nullptr ? document->name : "";
  status.generation = plan::effective_generation(in.progress).value();
  status.spec_digest = document != nullptr ? document->spec_digest.str() : "";
  status.services = services_status(in);
  status.rollout = rollout_status(in);
  for (const auto& [key, item] : in.drift)
    status.drift.push_back({item.drift.service, item.drift.kind, to_rfc3339(item.since),
                            item.drift.evidence, item.drift.action, item.drift.next});
  if (in.progress.hold) status.hold = hold_status(*in.progress.hold);
  const auto& quarantine = in.records.quarantine;
  const auto declared = std::find_if(quarantine.begin(), quarantine.end(),
                                     [](const auto& each) { return !each.source.empty(); });
  if (declared != quarantine.end()) status.quarantined = *declared;
  status.standby = standby_status(in.progress, in.observed, in.boot, in.wall);
  status.rehearsal = rehearsal_status(in.progress, in.boot, in.wall);
  status.rollback = in.rollback;
  status.agent_version = HOLDFAST_VERSION;
  status.agent_since = to_rfc3339(in.since);
  auto [state, message] = overall(in, status);
  status.state = state;
  status.message = std::move(message);
  return status;
}

Gauges make_gauges(const StatusInput& in) {
  Gauges gauges;
  for (const auto name : proto::Words<proto::DriftKind>::kAll)
    gauges.drift_now[std::string{name}] = 0;
  for (const auto& [key, item] : in.drift)
    ++gauges.drift_now[std::string{proto::to_string(item.drift.kind)}];
  const bool soaks = in.progress.rollout && in.progress.rollout->phase == plan::Phase::soaking;
  gauges.waiting = {{"hold", 0}, {"window", 0}, {"soak", soaks ? 1U : 0U}};
  if (plan::is_waiting(in.progress)) {
    if (const auto wait = plan::waits_for(in.progress, in.observed))
      gauges.waiting[wait->cause == plan::Wait::Cause::hold ? "hold" : "window"] = 1;
  }
  if (const auto* document = shown_document(in)) {
    for (const auto& [name, service] : document->services) {
      gauges.relaxations[name.str()] =
          static_cast<std::uint32_t>(service.security.relaxations.size());
      if (!service.labels.empty()) gauges.labels[name.str()] = service.labels;
    }
  }
  gauges.good_generation = in.progress.good.value();
  gauges.quarantined = in.records.quarantine.size();
  if (const auto& rehearsed = in.progress.rehearsed) {
    gauges.rehearsal_verdict = plan::to_string(rehearsed->kind);
    gauges.rehearsal_timestamp = epoch_seconds(rehearsed->at);
  }
  return gauges;
}

bool all_healthy(const proto::api::Status& status) {
  return !status.services.empty() &&
         std::all_of(status.services.begin(), status.services.end(), [](const auto& service) {
           return service.state == "completed" || service.state == "stopped" ||
                  (service.state == "running" &&
                   (service.health == "healthy" || service.health == "none"));
         });
}

}  // namespace holdfast::deploy::engine
