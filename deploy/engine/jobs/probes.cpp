#include "deploy/engine/jobs/probes.hpp"

#include <fmt/format.h>

#include "common/log/log.hpp"

namespace holdfast::deploy::engine {

const plan::Health& Probes::of(const plan::ObservedInstance& seen) {
  auto& health = health_[seen.id];
  if (health.starts != seen.starts) {
    const bool in_flight = health.in_flight;
    health = {};
    health.starts = seen.starts;
    health.in_flight = in_flight;
  }
  return health;
}

void Probes::keep_only(const std::map<plan::InstanceId, plan::InstanceView>& observed) {
  std::erase_if(health_, [&](const auto& row) { return !observed.contains(row.first); });
}

void Probes::refresh(std::map<plan::InstanceId, plan::InstanceView>& observed) const {
  for (auto& [id, view] : observed) {
    if (const auto known = health_.find(id); known != health_.end()) view.health = known->second;
  }
}

bool Probes::in_flight(const plan::InstanceId& id) const {
  const auto known = health_.find(id);
  return known != health_.end() && known->second.in_flight;
}

void Probes::start(const plan::ProbeNow& probe) {
  const auto document = parts_.generations.document(probe.generation);
  const auto view = parts_.observed.instances.find(probe.id);
  if (!document || view == parts_.observed.instances.end()) return;
  const auto service = plan::wanted_container(*document, probe.service);
  if (!service || !service->health) return;
  auto& health = health_[probe.id];
  health.in_flight = true;
  health.last_probe = parts_.ports.clock.boot();
  view->second.health = health;
  const auto& seen = view->second.seen;
  const auto grace =
      plan::start_grace(*service, plan::last_start(parts_.journal.progress(), probe.service));
  parts_.jobs.run(Jobs::Pool::probe,
                  [this, asked = Asked{probe.id, seen.service, *service->health, seen.address,
                                       health.starts, seen.started_boot, grace}](
                      const std::stop_token& stop) -> std::function<void()> {
                    auto outcome = ask(asked, stop);
                    return [this, asked, outcome] { answered(asked, outcome); };
                  });
}

/// On a job thread.
probe::Outcome Probes::ask(const Asked& asked, const std::stop_token& stop) {
  const auto& rule = asked.rule;
  if (const auto* http = std::get_if<proto::HttpProbe>(&rule.probe))
    return probe::probe_http(*http, asked.address, rule.timeout, stop);
  if (const auto* tcp = std::get_if<proto::TcpProbe>(&rule.probe))
    return probe::probe_tcp(*tcp, asked.address, rule.timeout, stop);
  if (const auto* exec = std::get_if<proto::ExecProbe>(&rule.probe))
    return ask_exec(asked, *exec, stop);
  return read_sd_notify(asked);
}

probe::Outcome Probes::ask_exec(const Asked& asked, const proto::ExecProbe& exec,
                                const std::stop_token& stop) {
  const auto ran = parts_.ports.control.exec(asked.id, exec.command, asked.rule.timeout, stop);
  probe::Outcome outcome;
  outcome.verdict = ran && ran->code == 0                           ? probe::Verdict::success
                    : !ran && ran.error().code() == Errc::timed_out ? probe::Verdict::timeout
                                                                    : probe::Verdict::failure;
  outcome.detail = ran ? fmt::format("exec {} → exit code {}", exec.command.front(), ran->code)
                       : ran.error().what();
  if (ran && ran->code != 0) outcome.detail += probe::output_text(ran->output);
  return outcome;
}

probe::Outcome Probes::read_sd_notify(const Asked& asked) {
  const auto said =
      parts_.ports.control.sd_notify_state(asked.id).value_or(runtime::SdNotifyState{});
  auto verdict = runtime::judge(said, asked.rule, parts_.ports.clock.boot());
  probe::Outcome outcome;
  outcome.verdict = verdict.healthy ? probe::Verdict::success : probe::Verdict::failure;
  outcome.detail = std::move(verdict.detail);
  return outcome;
}

void Probes::answered(const Asked& asked, const probe::Outcome& outcome) {
  const auto found = health_.find(asked.id);
  if (found == health_.end()) return;
  auto& health = found->second;
  health.in_flight = false;
  const bool success = outcome.verdict == probe::Verdict::success;
  const auto& progress = parts_.journal.progress();
  const bool at_rest = !progress.rollout && !progress.rehearsal;
  // Where nothing is under way, one that goes on being healthy asks for no pass.
  wake_ = wake_ || !success || health.state != plan::HealthState::healthy || !at_rest;
  if (!success && parts_.ports.clock.boot() < forgiving_until_) return;
  if (health.starts == asked.starts) judge(asked, outcome, health);
}

void Probes::judge(const Asked& asked, const probe::Outcome& outcome, plan::Health& health) {
  const bool success = outcome.verdict == probe::Verdict::success;
  auto& counters = parts_.counters.workloads[asked.service.str()];
  ++(success                                      ? counters.probes_success
     : outcome.verdict == probe::Verdict::timeout ? counters.probes_timeout
                                                  : counters.probes_failure);
  const auto before = health.state;
  const auto since = [now = parts_.ports.clock.boot()](BootTime at) {
    return std::chrono::duration_cast<Milliseconds>(now - at);
  };
  health = plan::advance(health, asked.rule,
                         {.success = success,
                          .detail = outcome.detail,
                          .age = since(asked.started),
                          .watched = since(std::max(asked.started, began_)),
                          .grace = asked.grace});
  if (health.state == before && success) return;
  parts_.attention.mark_changed();
  if (health.state != before)
    log::info("event=health_changed service={} instance={} from={} to={} detail={}",
              asked.service.str(), asked.id.str(), plan::to_string(before),
              plan::to_string(health.state), log::field(health.detail));
}

}  // namespace holdfast::deploy::engine
