#include "deploy/engine/jobs/endings.hpp"

#include <fmt/format.h>

#include "common/base/text.hpp"
#include "common/log/log.hpp"

namespace holdfast::deploy::engine {

void Endings::stop(const plan::Stop& stop) {
  const auto pool = parts_.observed.shutdown ? Jobs::Pool::shutdown
                    : stop.awaited           ? Jobs::Pool::stop
                                             : Jobs::Pool::retire;
  run({stop.id, stop.service, "stop", pool}, [this, stop](const std::stop_token& token) -> Done {
    HF_ASSIGN(const auto outcome, parts_.ports.instances.stop(stop.id, stop.rule, token));
    if (outcome == runtime::StopOutcome::ended) return std::function<void()>{};
    return std::function<void()>{[this, stop] { record_kill(stop); }};
  });
}

void Endings::remove(const plan::Remove& remove) {
  run({remove.id, remove.service, "remove", Jobs::Pool::retire},
      [this, id = remove.id](const std::stop_token& token) -> Done {
        HF_TRY(parts_.ports.instances.remove(id, token));
        return std::function<void()>{};
      });
}

void Endings::keep_only(const std::map<plan::InstanceId, plan::InstanceView>& observed) {
  std::erase_if(parts_.observed.end_failures,
                [&](const auto& row) { return !observed.contains(row.first); });
}

void Endings::run(Job job, std::function<Done(const std::stop_token&)> work) {
  if (!parts_.observed.ending.insert(job.id).second) return;
  parts_.jobs.run(
      job.pool,
      [this, job, work = std::move(work)](const std::stop_token& stop) -> std::function<void()> {
        auto done = work(stop);
        return [this, job, done] { ended(job, done); };
      });
}

void Endings::ended(const Job& job, const Done& done) {
  parts_.observed.ending.erase(job.id);
  parts_.attention.mark_changed();
  if (!done) return failed(job, done.error());
  parts_.observed.end_failures.erase(job.id);
  if (*done) (*done)();
}

/// Tried again, ever more slowly: it is no failure of what the service needs.
void Endings::failed(const Job& job, const Error& error) {
  if (error.code() == Errc::cancelled) return;
  parts_.counters.count(error);
  log::warn("event={}_failed service={} instance={} error={}", job.what, job.service.str(),
            job.id.str(), log::field(error.to_string()));
  auto& failures = parts_.observed.end_failures;
  const auto before = failures.find(job.id);
  const std::uint32_t count = before == failures.end() ? 1 : before->second.count + 1;
  failures.insert_or_assign(
      job.id,
      plan::JobFailure{error, parts_.ports.clock.boot() + plan::restart_delay(count), count});
}

/// Nobody is killed in silence: what it had not written yet is lost.
void Endings::record_kill(const plan::Stop& stop) {
  ++parts_.counters.stop_kills[stop.service.str()];
  const auto view = parts_.observed.instances.find(stop.id);
  auto note = parts_.journal.entry(
      proto::EntryKind::stop_killed, "agent",
      fmt::format("{} did not end within {} of {} and was killed", stop.id.str(),
                  human_duration(stop.rule.timeout),
                  stop.rule.signal.empty() ? "its stop signal" : stop.rule.signal),
      view == parts_.observed.instances.end() ? GenerationId{}
                                              : GenerationId{view->second.seen.generation});
  note.service = stop.service.str();
  note.detail = {{"instance", stop.id.str()}, {"timeout", human_duration(stop.rule.timeout)}};
  // Without a ledger the log has it.
  if (auto done = parts_.journal.commit({.entries = {std::move(note)}}); !done)
    log::warn("event=stop_killed instance={}", stop.id.str());
}

}  // namespace holdfast::deploy::engine
