// The picture for the API and the metrics.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <tuple>
#include <utility>

#include "common/base/text.hpp"
#include "common/log/log.hpp"
#include "deploy/engine/core.hpp"
#include "proto/api/codec.hpp"

namespace holdfast::deploy::engine {

using plan::InstanceState;

bool Core::retrying() const { return !observed_.job_failures.empty(); }

/// "crash loop: …" for a service that ended again and again since it last ran for ten minutes; else
/// empty.
std::string Core::crash_loop(const plan::ServiceName& service) const {
  constexpr std::uint32_t kLoop = 3;
  const auto found = progress_.restarts.find(service);
  if (found == progress_.restarts.end() || found->second.attempts < kLoop) return {};
  const auto figures = figures_.workloads.find(service.str());
  const auto next = found->second.last + plan::restart_delay(found->second.attempts);
  const auto left = next - ports_.clock.boot();
  return fmt::format(
      "crash loop: started again {} times, last exit code {}{}", found->second.attempts,
      figures == figures_.workloads.end() ? 0 : figures->second.last_exit_code,
      left > BootClock::duration::zero() ? ", next try in " + human_duration(left) : "");
}

proto::api::ServiceStatus Core::service_status(const std::string& name,
                                               const proto::Service& wanted) const {
  proto::api::ServiceStatus status;
  status.name = name;
  status.image = wanted.image.str();
  status.digest = wanted.image.digest.str();
  status.health = "none";
  const plan::ServiceName key{name};
  if (const auto figures = figures_.workloads.find(name); figures != figures_.workloads.end())
    status.restarts = figures->second.restarts;
  for (const auto& port : wanted.publish)
    status.publish.push_back(
        fmt::format("{}{}:{}/{}", port.host_ip.empty() ? "" : port.host_ip + ":", port.host_port,
                    port.container_port, port.transport == proto::Transport::tcp ? "tcp" : "udp"));
  const auto image = observed_.images.find(wanted.image.digest);
  if (image != observed_.images.end() && image->second.manifest)
    status.manifest = image->second.manifest->str();
  const auto failed = observed_.job_failures.find(key);
  if (failed != observed_.job_failures.end()) status.detail = failed->second.error.to_string();
  const auto serving = progress_.serving.find(key);
  const auto found = serving == progress_.serving.end() ? observed_.instances.end()
                                                        : observed_.instances.find(serving->second);
  if (found == observed_.instances.end()) {
    const bool pulling =
        image != observed_.images.end() && image->second.state == plan::ImageView::State::pulling;
    status.state = pulling                                  ? "pulling"
                   : observed_.busy.contains(key)           ? "starting"
                   : failed != observed_.job_failures.end() ? "backoff"
                   : progress_.rollout                      ? "pending"
                                                            : "missing";
    if (status.detail.empty() && image != observed_.images.end() && image->second.error)
      status.detail = image->second.error->to_string();
    return status;
  }
  const auto& [seen, health] = found->second;
  status.instance = seen.id.str();
  status.pid = seen.pid;
  if (seen.address != 0) status.address = plan::address_text(seen.address);
  if (seen.pid != 0) status.since = to_rfc3339(seen.started);
  status.state = seen.state == InstanceState::running ? "running"
                 : seen.state == InstanceState::exited
                     ? (wanted.restart == proto::Restart::never ? "exited" : "backoff")
                     : std::string{plan::to_string(seen.state)};
  if (wanted.health)
    status.health = health.state == plan::HealthState::none
                        ? "starting"
                        : std::string{plan::to_string(health.state)};
  if (status.detail.empty()) status.detail = crash_loop(key);
  if (status.detail.empty() && seen.exit && seen.state == InstanceState::exited)
    status.detail = seen.exit->oom ? "killed for using too much memory"
                                   : fmt::format("exited with code {}", seen.exit->code);
  if (status.detail.empty() && status.health != "healthy") status.detail = health.detail;
  return status;
}

std::vector<proto::api::ServiceStatus> Core::services_status() const {
  std::vector<proto::api::ServiceStatus> services;
  // Of a first roll-out that has not begun, what it will run.
  const auto in_force = plan::in_force(progress_);
  const auto current =
      observed_.documents.find(in_force.value() == 0 ? progress_.current : in_force);
  if (current == observed_.documents.end()) return services;
  for (const auto& [name, wanted] : current->second->services)
    services.push_back(service_status(name.str(), wanted));
  return services;
}

void Core::fill_rollout(proto::api::Status& status) {
  for (auto& [cause, value] : figures_.waiting) value = 0;
  if (!progress_.rollout) return;
  const auto& r = *progress_.rollout;
  proto::api::RolloutStatus rollout;
  rollout.generation = r.target.value();
  rollout.phase = std::string{plan::to_string(r.phase)};
  rollout.seconds = std::chrono::duration<double>(ports_.clock.boot() - r.started).count();
  for (const auto& [name, id] : r.fresh) {
    const auto view = observed_.instances.find(id);
    if (view == observed_.instances.end()) {
      rollout.waiting_for = name.str() + ": being created";
    } else if (view->second.health.state != plan::HealthState::healthy &&
               !view->second.health.detail.empty()) {
      rollout.waiting_for = name.str() + ": " + view->second.health.detail;
    }
  }
  for (const auto& [digest, image] : observed_.images) {
    if (image.state == plan::ImageView::State::failed && image.error &&
        r.phase == plan::Phase::staging)
      rollout.waiting_for = image.error->to_string();
  }
  for (const auto& [name, text] : plan::hooks_under_way(progress_, observed_))
    rollout.waiting_for = text;
  if (r.phase == plan::Phase::waiting) {
    if (const auto wait = plan::waits_for(progress_, observed_)) {
      rollout.waiting_for = wait->text;
      if (wait->until) rollout.begins = to_rfc3339(*wait->until);
      figures_.waiting[wait->cause == plan::Wait::Cause::hold ? "hold" : "window"] = 1;
    }
  }
  status.rollout = std::move(rollout);
}

/// Holds and the quarantine, as they are now.
void Core::fill_restraints(Snapshot& next) {
  if (const auto& hold = progress_.hold)
    next.status.hold = proto::api::HoldStatus{hold->actor, hold->reason, to_rfc3339(hold->since),
                                              hold->until ? to_rfc3339(*hold->until) : ""};
  const auto& quarantine = next.records->quarantine;
  const auto declared = std::find_if(quarantine.begin(), quarantine.end(),
                                     [](const auto& each) { return !each.source.empty(); });
  if (declared != quarantine.end()) next.status.quarantined = *declared;
}

/// Made anew only where something listed has changed.
const std::shared_ptr<const Records>& Core::records() {
  const auto in_force = plan::in_force(progress_);
  if (records_ && records_of_ == std::pair{in_force, progress_.source}) return records_;
  auto next = std::make_shared<Records>();
  next->history.reserve(generations_.size());
  for (const auto& row : generations_)
    next->history.push_back({row.id.value(), row.spec_digest.str(),
                             std::string{ledger::to_string(row.result)}, row.reason, row.actor,
                             to_rfc3339(row.accepted), row.id == in_force,
                             quarantine_.contains(row.spec_digest)});
  next->history_complete = history_complete_;
  next->quarantine.reserve(quarantine_.size());
  for (const auto& [digest, row] : quarantine_) next->quarantine.push_back(item(row));
  std::sort(next->quarantine.begin(), next->quarantine.end(), [](const auto& a, const auto& b) {
    return std::tie(a.since, a.spec_digest) < std::tie(b.since, b.spec_digest);
  });
  records_ = std::move(next);
  records_of_ = {in_force, progress_.source};
  return records_;
}

void Core::refresh_rollback() {
  rollback_ = {};
  figures_.rollback_ready_generations = 0;
  for (const auto& row : generations_) {
    if (row.ever_good && row.id != plan::in_force(progress_) &&
        figures_.rollback_ready_generations < options_.config.retain && check_local(row.id))
      ++figures_.rollback_ready_generations;
  }
  const auto target = rollback_target(0);
  if (!target) {
    rollback_.reason = target.error().what();
    return;
  }
  rollback_.generation = target->value();
  const auto local = check_local(*target);
  rollback_.ready = local.has_value();
  if (!local) rollback_.reason = local.error().to_string();
}

/// One word for the whole, the worst that holds, and one line that says why.
void Core::fill_state(proto::api::Status& status) const {
  const bool unwell =
      std::any_of(status.services.begin(), status.services.end(), [](const auto& s) {
        // One that starts, or has yet to answer its probe, gets no traffic so far.
        return s.state == "backoff" || s.state == "missing" || s.state == "pulling" ||
               s.state == "starting" || s.health == "unhealthy" || s.health == "starting" ||
               s.detail.starts_with("crash loop");
      });
  const auto say = [&](const char* state, std::string message) {
    status.state = state;
    status.message = std::move(message);
  };
  const bool waiting = plan::is_waiting(progress_);
  if (!ledger_ok_) return say("degraded", fmt::format("{}; next: {}", ledger_fault_, ledger_next_));
  if (progress_.rollout && !waiting)
    return say(progress_.rollout->phase == plan::Phase::reverting ? "reverting" : "rolling", {});
  if (!progress_.kept.empty() && progress_.current.value() == 0)
    return say("degraded",
               fmt::format("{} instances run as they are, but the ledger lost what declares them; "
                           "next: apply their document again, which takes them over",
                           progress_.kept.size()));
  if (progress_.current.value() == 0 && !progress_.hold && !status.quarantined)
    return say("empty", generations_.empty() ? "nothing has been applied yet"
                                             : "nothing runs: " + generations_.front().reason);
  const bool serves = !waiting || progress_.rollout->from.value() != 0;
  // A root that may be written to is written to: that alone is told, and nothing to act on.
  const auto unsettling = std::find_if(
      status.drift.begin(), status.drift.end(),
      [](const auto& item) { return item.kind != "writes" || item.action != "report"; });
  if (serves && (unwell || unsettling != status.drift.end() || retrying())) {
    say("degraded", {});
    for (const auto& s : status.services) {
      if (status.message.empty() && !s.detail.empty()) status.message = s.name + ": " + s.detail;
    }
    for (const auto& s : status.services) {
      if (status.message.empty() && (s.state == "starting" || s.health == "starting"))
        status.message = s.name + ": has yet to answer its probe";
    }
    if (status.message.empty() && unsettling != status.drift.end())
      status.message = unsettling->evidence;
    return;
  }
  if (status.hold)
    return say("held", fmt::format("changes wait{}, by {}: {}",
                                   status.hold->until.empty() ? "" : " until " + status.hold->until,
                                   status.hold->actor, status.hold->reason));
  if (status.quarantined)
    return say("held", fmt::format("what {} declares is quarantined: {}",
                                   status.quarantined->source, status.quarantined->reason));
  if (waiting)
    return say("waiting", fmt::format("generation {} waits: {}", status.rollout->generation,
                                      status.rollout->waiting_for));
  const auto hooks = plan::hooks_under_way(progress_, observed_);
  say("converged", hooks.empty() ? std::string{} : hooks.begin()->second);
}

/// The first time that all which is declared runs and is healthy.
void Core::note_boot(const proto::api::Status& status) {
  if (figures_.boot_to_healthy_seconds > 0 || status.services.empty()) return;
  const bool healthy =
      std::all_of(status.services.begin(), status.services.end(), [](const auto& service) {
        return service.state == "running" &&
               (service.health == "healthy" || service.health == "none");
      });
  if (!healthy) return;
  figures_.boot_to_healthy_seconds =
      std::chrono::duration<double>(ports_.clock.boot() - began_).count();
  log::info("event=all_healthy seconds={:.3f}", figures_.boot_to_healthy_seconds);
}

void Core::build_snapshot() {
  auto next = std::make_shared<Snapshot>();
  auto& status = next->status;
  const auto in_force = plan::in_force(progress_);
  const auto current = document(in_force.value() == 0 ? progress_.current : in_force);
  status.deployment = current ? current->name : "";
  status.generation = in_force.value();
  status.spec_digest = current ? current->spec_digest.str() : "";
  status.services = services_status();
  fill_rollout(status);
  fill_drift(status);
  next->records = records();
  fill_restraints(*next);
  fill_readiness(status);
  status.rollback = rollback_;
  status.agent_version = HOLDFAST_VERSION;
  status.agent_since = to_rfc3339(since_);
  fill_state(status);
  figures_.quarantined = quarantine_.size();
  note_boot(status);
  if (current) {
    for (const auto& [name, service] : current->services)
      figures_.workloads[name.str()].relaxations =
          static_cast<std::uint32_t>(service.security.relaxations.size());
    for (auto& [name, figures] : figures_.workloads)
      figures.crash_looping = !crash_loop(plan::ServiceName{name}).empty();
    std::erase_if(figures_.workloads, [&](const auto& row) {
      return !current->services.contains(plan::ServiceName{row.first});
    });
    list_stop_kills(*current);
  }
  next->figures = figures_;
  next->head = head_;
  next->ready = ready_;
  next->ledger_writable = ledger_ok_;
  next->repair_layers = proto::drift_action(proto::DriftKind::layer_damaged, options_.config.drift,
                                            current ? current->drift : proto::DriftPolicy{}) ==
                        proto::DriftAction::repair;
  std::atomic_store(&snapshot_, std::shared_ptr<const Snapshot>{std::move(next)});
}

void Core::announce(GenerationId id, std::string result, const plan::Rollout& rollout,
                    bool went_back) {
  proto::api::Outcome outcome;
  outcome.generation = id.value();
  outcome.result = std::move(result);
  outcome.seconds = std::chrono::duration<double>(ports_.clock.boot() - rollout.started).count();
  outcome.services = services_status();
  if (went_back && rollout.failure) {
    std::string next;
    if (const auto hint = rollout.failure->evidence.find("next");
        hint != rollout.failure->evidence.end())
      next = hint->second;
    if (next.empty()) next = fmt::format("holdfast show {}", id.value());
    outcome.error = proto::api::ErrorBody{std::string{code(rollout.failure->code)},
                                          rollout.failure->what, std::move(next)};
  }
  proto::api::Event event;
  event.time = to_rfc3339(ports_.clock.wall());
  event.kind = "result";
  event.generation = id.value();
  event.message = outcome.result;
  auto detail = boost::json::parse(proto::api::encode(outcome)).as_object();
  if (went_back && rollout.failure) {
    boost::json::object evidence;
    for (const auto& [key, value] : rollout.failure->evidence) evidence[key] = value;
    if (options_.log_tail && rollout.failure->evidence.contains("instance")) {
      boost::json::array lines;
      for (auto& line :
           options_.log_tail(plan::InstanceId{rollout.failure->evidence.at("instance")}, 5))
        lines.emplace_back(line);
      evidence["log"] = std::move(lines);
    }
    detail["evidence"] = std::move(evidence);
  }
  event.detail = boost::json::serialize(detail);
  events_.publish(std::move(event));
}

/// Tells who applied it that the roll-out will not begin yet.
void Core::announce_wait() {
  const auto wait = plan::waits_for(progress_, observed_);
  if (!wait) return;
  const auto id = progress_.rollout->target.value();
  const bool held = wait->cause == plan::Wait::Cause::hold;
  proto::api::Outcome outcome;
  outcome.generation = id;
  outcome.result = "waiting";
  outcome.seconds =
      std::chrono::duration<double>(ports_.clock.boot() - progress_.rollout->started).count();
  outcome.services = services_status();
  outcome.error = proto::api::ErrorBody{
      std::string{code(Errc::held)},
      fmt::format("generation {} is accepted and its images are here, but it waits: {}", id,
                  wait->text),
      held ? "holdfast resume" : "wait for the window, or apply the document again with --now"};
  proto::api::Event event;
  event.time = to_rfc3339(ports_.clock.wall());
  event.kind = "result";
  event.generation = id;
  event.message = outcome.result;
  event.detail = proto::api::encode(outcome);
  events_.publish(std::move(event));
}

void Core::announce_result(const plan::Rollout& rollout) {
  build_snapshot();
  if (!rollout.failure) return announce(rollout.target, "good", rollout, false);
  const bool by_operator = rollout.failure->code == Errc::cancelled;
  // With nothing to go back to it failed; else the earlier generation is in force again.
  announce(rollout.target, rollout.from.value() == 0 ? "failed" : "rolled_back", rollout, true);
  if (by_operator) announce(rollout.from, "good", rollout, false);
}

}  // namespace holdfast::deploy::engine
