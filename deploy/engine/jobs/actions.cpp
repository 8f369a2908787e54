#include "deploy/engine/jobs/actions.hpp"

#include "common/log/log.hpp"

namespace holdfast::deploy::engine {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

}  // namespace

bool Actions::start(const plan::Action& action) {
  auto& instances = parts_.ports.instances;
  auto& control = parts_.ports.control;
  const auto later = [](auto&& begin) {
    begin();
    return false;
  };
  return std::visit(
      Overloaded{
          [&](const plan::Pull& a) { return later([&] { owners_.pulls.start(a); }); },
          [&](const plan::Create& a) { return later([&] { start_create(a); }); },
          [&](const plan::RestartProcess& a) {
            run_change({a.service, a.id, "restart"}, [&instances, id = a.id](const auto& stop) {
              return instances.restart(id, stop);
            });
            return false;
          },
          [&](const plan::Stop& a) { return later([&] { owners_.endings.stop(a); }); },
          [&](const plan::Remove& a) { return later([&] { owners_.endings.remove(a); }); },
          [&](const plan::Freeze& a) { return later([&] { owners_.drains.start_freeze(a); }); },
          [&](const plan::Thaw& a) { return now("thaw", control.thaw(a.id)); },
          [&](const plan::ProbeNow& a) { return later([&] { owners_.probes.start(a); }); },
          [&](const plan::Enforce& a) { return now("enforce", control.enforce(a.id)); },
          [&](const plan::Expel& a) {
            run_change({a.service, a.id, "expel"},
                       [&control, id = a.id](const auto&) { return control.expel(id); });
            return false;
          },
          [&](const plan::Route& a) {
            owners_.drains.spare(a.table);
            return owners_.drift.apply_routes(a.table);
          },
      },
      action);
}

bool Actions::now(const char* what, const Status& status) {
  if (status) return true;
  parts_.counters.count(status.error());
  log::warn("event={}_failed error={}", what, log::field(status.error().to_string()));
  return false;
}

void Actions::run_change(const Change& change, std::function<Status(const std::stop_token&)> work) {
  if (!parts_.observed.busy.emplace(change.service, change.id).second) return;
  parts_.jobs.run(
      Jobs::Pool::change,
      [this, change, work = std::move(work)](const std::stop_token& stop) -> std::function<void()> {
        auto done = work(stop);
        return [this, change, done] { changed(change, done); };
      });
}

void Actions::changed(const Change& change, const Status& done) {
  const auto& [service, id, what, generation] = change;
  auto& observed = parts_.observed;
  observed.busy.erase(service);
  parts_.attention.mark_changed();
  if (done) {
    if (what == "create" || what == "restart") observed.job_failures.erase(service);
    return;
  }
  if (done.error().code() == Errc::cancelled) return;
  parts_.counters.count(done.error());
  log::warn("event={}_failed service={} error={}", what, service.str(),
            log::field(done.error().to_string()));
  const auto before = observed.job_failures.find(service);
  const bool again =
      before != observed.job_failures.end() && before->second.generation == generation;
  const std::uint32_t failures = again ? before->second.count + 1 : 1;
  observed.job_failures.insert_or_assign(
      service, plan::JobFailure{done.error(), parts_.ports.clock.boot() + retry_delay(failures - 1),
                                failures, generation});
}

void Actions::start_create(const plan::Create& create) {
  const auto known = parts_.generations.document(create.generation);
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
                             .hosts = hosts(),
                             .allowed_host_paths = parts_.options.config.allowed_host_paths,
                             .allowed_secret_paths = parts_.options.config.allowed_secret_paths};
  run_change({create.service, create.id, "create", create.generation},
             [&ports = parts_.ports,
              spec = std::move(spec)](const std::stop_token& stop) mutable -> Status {
               auto image = ports.images.find(spec.image.pinned);
               if (!image) return std::move(image).error().in("create " + spec.id.str());
               spec.image = std::move(image).value();
               return ports.instances.create(spec, stop);
             });
}

void Actions::probe_thawed(const plan::Thaw& thaw, const plan::Progress& next) {
  if (!next.rollout) return;
  for (const auto& [service, id] : next.rollout->fresh) {
    if (id == thaw.id && !owners_.probes.in_flight(id))
      owners_.probes.start({id, service, next.rollout->target});
  }
}

void Actions::publish_hosts() {
  if (publishing_hosts_) return;
  auto table = hosts();
  if (table == published_hosts_) return;
  publishing_hosts_ = true;
  published_hosts_ = table;
  parts_.jobs.run(Jobs::Pool::brief,
                  [this, &control = parts_.ports.control,
                   table = std::move(table)](const std::stop_token&) -> std::function<void()> {
                    auto written = control.set_hosts(table);
                    return [this, written] {
                      publishing_hosts_ = false;
                      if (!written)
                        log::warn("event=hosts_failed error={}",
                                  log::field(written.error().to_string()));
                      publish_hosts();  // others may have come meanwhile
                    };
                  });
}

runtime::HostsTable Actions::hosts() const {
  runtime::HostsTable table;
  for (const auto& [name, address] : parts_.journal.progress().addresses)
    table.emplace(name.str(), address);
  return table;
}

}  // namespace holdfast::deploy::engine
