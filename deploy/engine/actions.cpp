// How a decision becomes effect: at once where the kernel answers in microseconds, else as a job.
#include <fmt/format.h>

#include "common/log/log.hpp"
#include "deploy/engine/core.hpp"
#include "deploy/engine/pull_event.hpp"
#include "deploy/probe/prober.hpp"

namespace holdfast::deploy::engine {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

Milliseconds retry_delay(std::uint32_t attempts) {
  return Milliseconds{std::min<std::int64_t>(1'000LL << std::min(attempts, 6U), 60'000)};
}

}  // namespace

/// True when the action is done already and the world must be looked at again.
bool Core::start(const plan::Action& action) {
  const auto warn = [&](const char* what, const Status& status) {
    if (status) return true;
    count(status.error());
    log::warn("event={}_failed error={}", what, log::field(status.error().to_string()));
    return false;
  };
  return std::visit(
      Overloaded{
          [&](const plan::Pull& a) {
            start_pull(a);
            return false;
          },
          [&](const plan::Create& a) {
            start_create(a);
            return false;
          },
          [&](const plan::RestartProcess& a) {
            run_change(a.service, a.id, "restart", [this, id = a.id](const std::stop_token& stop) {
              return ports_.instances.restart(id, stop);
            });
            return false;
          },
          [&](const plan::Stop& a) {
            start_stop(a);
            return false;
          },
          [&](const plan::Remove& a) {
            start_remove(a);
            return false;
          },
          [&](const plan::Freeze& a) {
            start_freeze(a);
            return false;
          },
          [&](const plan::Thaw& a) { return warn("thaw", ports_.control.thaw(a.id)); },
          [&](const plan::ProbeNow& a) {
            start_probe(a);
            return false;
          },
          [&](const plan::Enforce& a) { return warn("enforce", ports_.control.enforce(a.id)); },
          [&](const plan::Expel& a) {
            run_change(a.service, a.id, "expel", [this, id = a.id](const std::stop_token&) {
              return ports_.control.expel(id);
            });
            return false;
          },
          [&](const plan::Route& a) {
            spare_from_cut(a.table);
            return warn("route", apply_routes(a.table));
          },
      },
      action);
}

void Core::run_change(const plan::ServiceName& service, const plan::InstanceId& id,
                      const std::string& what, std::function<Status(const std::stop_token&)> work) {
  if (!observed_.busy.emplace(service, id).second) return;
  jobs_.run(Jobs::Pool::change,
            [this, service, what,
             work = std::move(work)](const std::stop_token& stop) -> std::function<void()> {
              auto done = work(stop);
              return [this, service, what, done] {
                observed_.busy.erase(service);
                mark_changed();
                if (done) {
                  if (what == "create" || what == "restart") observed_.job_failures.erase(service);
                  return;
                }
                if (done.error().code() == Errc::cancelled) return;
                count(done.error());
                log::warn("event={}_failed service={} error={}", what, service.str(),
                          log::field(done.error().to_string()));
                const auto before = observed_.job_failures.find(service);
                const std::uint32_t failures =
                    before == observed_.job_failures.end() ? 1 : before->second.count + 1;
                observed_.job_failures.insert_or_assign(
                    service,
                    plan::JobFailure{done.error(), ports_.clock.boot() + retry_delay(failures - 1),
                                     failures});
              };
            });
}

void Core::start_pull(const plan::Pull& pull) {
  auto& view = observed_.images[pull.image.digest];
  if (view.state == plan::ImageView::State::pulling) return;
  view.state = plan::ImageView::State::pulling;
  log::info("event=pull_started image={}", pull.image.str());
  jobs_.run(
      Jobs::Pool::pull,
      [this, ref = pull.image](const std::stop_token& stop) -> std::function<void()> {
        auto pulled = ports_.images.ensure(
            ref,
            [this](const image::PullProgress& p) {
              events_.publish(pull_event(p, ports_.clock.wall()));
            },
            stop);
        return [this, ref, pulled] {
          changed_ = true;
          auto& known = observed_.images[ref.digest];
          if (pulled) {
            known = {.state = plan::ImageView::State::present,
                     .manifest = pulled->image.manifest,
                     .error = {},
                     .retry_at = {},
                     .attempts = 0};
            ++figures_.pulls["success"];
            figures_.pull_bytes += pulled->stats.bytes_fetched;
            figures_.pull_seconds.observe(
                std::chrono::duration<double>(pulled->stats.duration).count());
            log::info(
                "event=pull_finished image={} bytes={} layers_fetched={} layers_local={} ms={}",
                ref.str(), pulled->stats.bytes_fetched, pulled->stats.layers_fetched,
                pulled->stats.layers_local, pulled->stats.duration.count());
            return;
          }
          known.state = plan::ImageView::State::failed;
          if (pulled.error().code() == Errc::cancelled) return;
          known.error = pulled.error();
          known.retry_at = ports_.clock.boot() + retry_delay(known.attempts++);
          ++figures_.pulls["error"];
          count(pulled.error());
          log::warn("event=pull_failed image={} attempt={} error={}", ref.str(), known.attempts,
                    log::field(pulled.error().to_string()));
          proto::api::Event event;
          event.time = to_rfc3339(ports_.clock.wall());
          event.kind = "pull";
          event.message = fmt::format("pull {} failed: {}", ref.str(), pulled.error().to_string());
          events_.publish(std::move(event));
        };
      });
}

void Core::start_create(const plan::Create& create) {
  const auto known = document(create.generation);
  if (!known) return;
  const auto wanted = plan::wanted_container(*known, create.service);
  if (!wanted) return;
  runtime::InstanceSpec spec{.id = create.id,
                             .service = create.service,
                             .generation = create.generation.value(),
                             .wanted = *wanted,
                             .image = {.pinned = wanted->image.digest,
                                       .manifest = wanted->image.digest,
                                       .config = {},
                                       .lowers = {},
                                       .unpacked_size = Bytes{0}},
                             .hosts = hosts()};
  run_change(create.service, create.id, "create",
             [this, spec = std::move(spec)](const std::stop_token& stop) mutable -> Status {
               auto image = ports_.images.find(spec.image.pinned);
               if (!image) return std::move(image).error().in("create " + spec.id.str());
               spec.image = std::move(image).value();
               return ports_.instances.create(spec, stop);
             });
}

/// What a roll-out thaws is asked at once: the next look at the host would ask it too, but later.
void Core::probe_thawed(const plan::Thaw& thaw, const plan::Progress& next) {
  if (!next.rollout) return;
  for (const auto& [service, id] : next.rollout->fresh) {
    if (id == thaw.id && !health_[id].in_flight) start_probe({id, service, next.rollout->target});
  }
}

void Core::start_probe(const plan::ProbeNow& probe) {
  const auto known = document(probe.generation);
  const auto view = observed_.instances.find(probe.id);
  if (!known || view == observed_.instances.end()) return;
  const auto service = plan::wanted_container(*known, probe.service);
  if (!service || !service->health) return;
  auto& health = health_[probe.id];
  health.in_flight = true;
  health.last_probe = ports_.clock.boot();
  view->second.health = health;
  const auto rule = *service->health;
  const auto starts = health.starts;
  const auto address = view->second.seen.address;
  jobs_.run(
      Jobs::Pool::probe,
      [this, id = probe.id, rule, address,
       starts](const std::stop_token& stop) -> std::function<void()> {
        probe::Outcome outcome;
        if (const auto* http = std::get_if<proto::HttpProbe>(&rule.probe)) {
          outcome = probe::probe_http(*http, address, rule.timeout, stop);
        } else if (const auto* tcp = std::get_if<proto::TcpProbe>(&rule.probe)) {
          outcome = probe::probe_tcp(*tcp, address, rule.timeout, stop);
        } else if (const auto* exec = std::get_if<proto::ExecProbe>(&rule.probe)) {
          const auto ran = ports_.control.exec(id, exec->command, rule.timeout, stop);
          outcome.verdict = ran && ran->code == 0 ? probe::Verdict::success
                            : !ran && ran.error().code() == Errc::timed_out
                                ? probe::Verdict::timeout
                                : probe::Verdict::failure;
          outcome.detail =
              ran ? fmt::format("exec {} → exit code {}", exec->command.front(), ran->code)
                  : ran.error().what();
        } else {
          const auto said = ports_.control.notified(id).value_or(runtime::Notified{});
          auto verdict = runtime::judge(said, rule, ports_.clock.boot());
          outcome.verdict = verdict.healthy ? probe::Verdict::success : probe::Verdict::failure;
          outcome.detail = std::move(verdict.detail);
        }
        return [this, id, rule, starts, outcome] {
          const auto found = health_.find(id);
          if (found == health_.end()) return;
          found->second.in_flight = false;
          // Where nothing is under way, one that goes on being healthy asks for no turn.
          stirred_ = stirred_ || outcome.verdict != probe::Verdict::success ||
                     found->second.state != plan::HealthState::healthy || !at_rest();
          if (outcome.verdict != probe::Verdict::success && ports_.clock.boot() < forgiving_until_)
            return;
          if (found->second.starts == starts)
            probed(id, rule, outcome.verdict == probe::Verdict::success,
                   outcome.verdict == probe::Verdict::timeout, outcome.detail);
        };
      });
}

void Core::suspended(BootClock::duration pause) {
  constexpr std::chrono::seconds kGrace{1};
  log::warn("event=agent_was_suspended seconds={:.1f}",
            std::chrono::duration<double>(pause).count());
  progress_ = plan::shift(progress_, pause);
  forgiving_until_ = ports_.clock.boot() + kGrace;
  changed_ = true;
}

void Core::probed(const plan::InstanceId& id, const proto::HealthRule& rule, bool success,
                  bool timeout, std::string detail) {
  const auto view = observed_.instances.find(id);
  if (view == observed_.instances.end()) return;
  auto& figures = figures_.workloads[view->second.seen.service.str()];
  ++(success ? figures.probes_success : timeout ? figures.probes_timeout : figures.probes_failure);
  auto& health = health_[id];
  const auto before = health.state;
  const auto age = std::chrono::duration_cast<Milliseconds>(ports_.clock.boot() -
                                                            view->second.seen.started_boot);
  health = plan::advance(health, rule, success, std::move(detail), age);
  view->second.health = health;
  if (health.state == before && success) return;
  changed_ = true;
  if (health.state != before)
    log::info("event=health_changed service={} instance={} from={} to={} detail={}",
              view->second.seen.service.str(), id.str(), plan::to_string(before),
              plan::to_string(health.state), log::field(health.detail));
}

runtime::HostsTable Core::hosts() const {
  runtime::HostsTable table;
  for (const auto& [name, address] : progress_.addresses) table.emplace(name.str(), address);
  return table;
}

}  // namespace holdfast::deploy::engine
