#include "deploy/engine/observation.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "common/log/log.hpp"

namespace holdfast::deploy::engine {

void Observation::observe(Freshness freshness) {
  auto& observed = parts_.observed;
  const auto& progress = parts_.journal.progress();
  observed.wall = parts_.ports.clock.wall();
  observed.documents.clear();
  for (const auto id : generations_in_use(progress)) {
    if (auto known = parts_.generations.document(id))
      observed.documents.emplace(id, std::move(known));
  }
  observed.zones = parts_.generations.zones();
  observed.windows = plan::look_at_windows(progress, observed);
  forget_job_failures();
  owners_.standby.observe_memory();
  if (freshness == Freshness::fresh) {
    observe_instances();
    auto routing = parts_.ports.publisher.observe();
    observed.routing =
        routing ? std::optional{std::move(routing).value()} : std::optional<plan::RoutingTable>{};
    if (observed.routing) observed.last_routing = observed.routing;
    // A host that goes down takes its packet filter along.
    if (!observed.shutdown) owners_.drift.watch_routes();
  } else {
    owners_.probes.refresh(observed.instances);
  }
  owners_.pulls.observe();
  owners_.drains.observe();
}

/// A hook or a rehearsal that could not be started is over; it must not make the host look unwell.
void Observation::forget_job_failures() {
  auto& observed = parts_.observed;
  if (observed.job_failures.empty()) return;
  const auto& progress = parts_.journal.progress();
  std::set<plan::ServiceName> alive;
  for (const auto& [id, known] : observed.documents) {
    for (const auto& [name, service] : known->services) alive.insert(name);
  }
  for (const auto& [name, text] : plan::hooks_under_way(progress, observed)) alive.insert(name);
  if (progress.rehearsal) {
    for (const auto& [name, id] : progress.rehearsal->instances)
      alive.insert(plan::rehearsal_name(name));
  }
  std::erase_if(observed.job_failures, [&](const auto& row) { return !alive.contains(row.first); });
}

void Observation::observe_instances() {
  auto seen = parts_.ports.instances.observe(parts_.attention.take_depth());
  if (!seen) {
    log::warn("event=observe_failed error={}", log::field(seen.error().to_string()));
    parts_.counters.count(seen.error());
    return;
  }
  auto& instances = parts_.observed.instances;
  const auto former = std::exchange(instances, {});
  for (auto& instance : *seen) {
    hold_back_end(instance);
    const auto before = former.find(instance.id);
    count_exits(instance, before == former.end() ? nullptr : &before->second.seen);
    const auto health = owners_.probes.of(instance);
    const auto id = instance.id;
    instances.emplace(id, plan::InstanceView{std::move(instance), health});
  }
  owners_.probes.keep_only(instances);
  owners_.endings.keep_only(instances);
  const auto& progress = parts_.journal.progress();
  parts_.evidence.keep_only(instances, progress.rollout || progress.rehearsal);
}

/// How it ended counts once what it wrote last has been read: nothing but what is decided about
/// this one waits for that. Nobody asks how those end that are needed no more, or were ended on
/// purpose.
void Observation::hold_back_end(plan::ObservedInstance& seen) {
  const auto& progress = parts_.journal.progress();
  const auto& observed = parts_.observed;
  if (seen.state != plan::InstanceState::exited || seen.code_pending || observed.shutdown ||
      observed.ending.contains(seen.id) || progress.retired.contains(seen.id) ||
      progress.released.contains(seen.id) || progress.stopped.contains(seen.service) ||
      plan::is_to_restart(progress, seen.service, seen.starts) || parts_.evidence.is_in(seen))
    return;
  seen.exit.reset();
  seen.code_pending = true;
}

/// Of memory, its control group counts those of processes that the service outlived; of one that
/// ended with its group, the exit tells.
void Observation::count_exits(const plan::ObservedInstance& now,
                              const plan::ObservedInstance* before) {
  const bool ended = now.exit && (before == nullptr || before->exit != now.exit);
  if (ended) {
    parts_.counters.workloads[now.service.str()].last_exit_code = now.exit->code;
    log::info("event=instance_exited service={} instance={} code={} oom={}", now.service.str(),
              now.id.str(), now.exit->code, now.exit->oom);
  }
  const std::uint64_t more =
      before != nullptr && now.starts == before->starts && now.oom_kills > before->oom_kills
          ? now.oom_kills - before->oom_kills
          : 0;
  const bool ended_by_oom = ended && now.exit->oom;
  if (more == 0 && !ended_by_oom) return;
  parts_.counters.workloads[now.service.str()].oom_kills +=
      std::max<std::uint64_t>(more, ended_by_oom ? 1 : 0);
  log::warn("event=out_of_memory service={} instance={} ended={}", now.service.str(), now.id.str(),
            ended_by_oom);
}

}  // namespace holdfast::deploy::engine
