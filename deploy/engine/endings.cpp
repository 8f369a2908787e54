// Stops and removals. Each is tracked by its instance, in pools of their own, so that one that
// takes its time holds up nothing that its service needs.
#include <fmt/format.h>

#include "common/base/text.hpp"
#include "common/log/log.hpp"
#include "deploy/engine/core.hpp"

namespace holdfast::deploy::engine {

void Core::start_stop(const plan::Stop& stop) {
  run_end({stop.id, stop.service, "stop", stop.awaited ? Jobs::Pool::stop : Jobs::Pool::retire},
          [this, stop](const std::stop_token& token) -> Result<std::function<void()>> {
            HF_ASSIGN(const auto outcome, ports_.instances.stop(stop.id, stop.rule, token));
            if (outcome == runtime::StopOutcome::ended) return std::function<void()>{};
            return std::function<void()>{[this, stop] { record_kill(stop); }};
          });
}

void Core::start_remove(const plan::Remove& remove) {
  run_end({remove.id, remove.service, "remove", Jobs::Pool::retire},
          [this, id = remove.id](const std::stop_token& token) -> Result<std::function<void()>> {
            HF_TRY(ports_.instances.remove(id, token));
            return std::function<void()>{};
          });
}

void Core::run_end(EndJob job,
                   std::function<Result<std::function<void()>>(const std::stop_token&)> work) {
  if (!observed_.ending.insert(job.id).second) return;
  jobs_.run(
      job.pool,
      [this, job, work = std::move(work)](const std::stop_token& stop) -> std::function<void()> {
        auto done = work(stop);
        return [this, job, done] {
          observed_.ending.erase(job.id);
          mark_changed();
          if (done) {
            observed_.end_failures.erase(job.id);
            if (*done) (*done)();
          } else {
            end_failed(job, done.error());
          }
        };
      });
}

/// Tried again, ever more slowly: it is no failure of what the service needs.
void Core::end_failed(const EndJob& job, const Error& error) {
  if (error.code() == Errc::cancelled) return;
  count(error);
  log::warn("event={}_failed service={} instance={} error={}", job.what, job.service.str(),
            job.id.str(), log::field(error.to_string()));
  const auto before = observed_.end_failures.find(job.id);
  const std::uint32_t failures =
      before == observed_.end_failures.end() ? 1 : before->second.count + 1;
  observed_.end_failures.insert_or_assign(
      job.id,
      plan::JobFailure{error, ports_.clock.boot() + plan::restart_delay(failures), failures});
}

/// Every workload of today from the start; those that left as long as they are not many.
void Core::list_stop_kills(const proto::Deployment& current) {
  constexpr std::size_t kMost = 256;
  const bool many = figures_.stop_kills.size() > kMost;
  std::erase_if(figures_.stop_kills, [&](const auto& row) {
    return !current.services.contains(plan::ServiceName{row.first}) && (many || row.second == 0);
  });
  for (const auto& [name, service] : current.services) figures_.stop_kills.try_emplace(name.str());
}

/// Nobody is killed in silence: what it had not written yet is lost.
void Core::record_kill(const plan::Stop& stop) {
  ++figures_.stop_kills[stop.service.str()];
  const auto view = observed_.instances.find(stop.id);
  auto note = entry(proto::EntryKind::stop_killed, "agent",
                    fmt::format("{} did not end within {} of {} and was killed", stop.id.str(),
                                human_duration(stop.rule.timeout),
                                stop.rule.signal.empty() ? "its stop signal" : stop.rule.signal),
                    view == observed_.instances.end() ? GenerationId{}
                                                      : GenerationId{view->second.seen.generation});
  note.service = stop.service.str();
  note.detail = {{"instance", stop.id.str()}, {"timeout", human_duration(stop.rule.timeout)}};
  // Without a ledger the log has it.
  if (auto done = commit({.entries = {std::move(note)}}); !done)
    log::warn("event=stop_killed instance={}", stop.id.str());
}

}  // namespace holdfast::deploy::engine
