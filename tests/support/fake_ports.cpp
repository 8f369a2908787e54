#include "tests/support/fake_ports.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace holdfast::test {

using namespace deploy;
using plan::InstanceState;

namespace {
image::StoredImage stored(const proto::Digest& digest) {
  return {.pinned = digest, .manifest = digest};
}
}  // namespace

Result<image::Pulled> FakeImages::ensure(const image::Wanted& wanted, const image::ProgressSink&,
                                         const std::stop_token& stop) {
  const auto& ref = wanted.ref;
  if (stop.stop_requested()) return Error{Errc::cancelled, "pull"};
  ++host_.pulls;
  if (const auto broken = host_.pull_errors.find(ref.digest); broken != host_.pull_errors.end())
    return broken->second;
  host_.local_images.insert(ref.digest);
  return image::Pulled{stored(ref.digest), {}};
}

Result<image::StoredImage> FakeImages::find(const proto::Digest& digest) {
  ++host_.images_read;
  HF_TRY(look(digest));
  if (const auto bad = host_.unreadable_images.find(digest); bad != host_.unreadable_images.end())
    return bad->second;
  auto found = stored(digest);
  found.config.volumes = host_.image_volumes;
  return found;
}

Result<image::HeldImage> FakeImages::look(const proto::Digest& digest) {
  if (!host_.local_images.contains(digest))
    return Error{Errc::not_found, "image " + digest.short_hex() + " is not here"};
  if (const auto damaged = host_.damaged_images.find(digest); damaged != host_.damaged_images.end())
    return damaged->second;
  const auto found = stored(digest);
  return image::HeldImage{.manifest = found.manifest, .compressed_size = found.compressed_size};
}

Result<image::Collected> FakeImages::collect(const std::set<proto::Digest>& keep,
                                             const std::stop_token&) {
  const auto gone = std::erase_if(host_.local_images, [&](const auto& digest) {
    return !keep.contains(digest) && !host_.retained.contains(digest);
  });
  return image::Collected{static_cast<std::uint32_t>(gone), 0, 0};
}

Result<std::vector<plan::ObservedInstance>> FakeRuntime::observe(deploy::runtime::InspectionDepth) {
  std::vector<plan::ObservedInstance> seen;
  for (const auto& [id, instance] : host_.instances) seen.push_back(instance);
  return seen;
}

Status FakeRuntime::create(const runtime::InstanceSpec& spec, const std::stop_token&) {
  ++host_.creates;
  host_.created.push_back(spec.service.str());
  if (const auto error = host_.create_errors.find(spec.service.str());
      error != host_.create_errors.end())
    return error->second;
  if (host_.failing_creates.contains(spec.service.str()) ||
      host_.unstartable.contains(spec.image.pinned))
    return Error{Errc::runtime, "exec /bin/web: no such file"};
  host_.instances.insert_or_assign(spec.id,
                                   plan::ObservedInstance{.id = spec.id,
                                                          .service = spec.service,
                                                          .generation = spec.generation,
                                                          .run_hash = spec.wanted.run_hash,
                                                          .image = spec.image.pinned,
                                                          .manifest = spec.image.manifest,
                                                          .state = InstanceState::running,
                                                          .pid = 4242,
                                                          .address = host_.next_address++,
                                                          .started = host_.clock.wall(),
                                                          .started_boot = host_.clock.boot(),
                                                          .starts = 1});
  if (const auto end = host_.exits.find(spec.service.str()); end != host_.exits.end()) {
    auto& made = host_.instances.at(spec.id);
    made.state = InstanceState::exited;
    made.exit = plan::ExitInfo{end->second, false, host_.clock.wall()};
  }
  return ok();
}

Status FakeRuntime::restart(const plan::InstanceId& id, const std::stop_token&) {
  auto& instance = host_.instances.at(id);
  instance.state = InstanceState::running;
  instance.exit.reset();
  std::erase_if(instance.deviations, [](const auto& each) {
    return each.kind == proto::DriftKind::mounts || each.kind == proto::DriftKind::secret;
  });
  instance.started_boot = host_.clock.boot();
  ++instance.starts;
  return ok();
}

Result<runtime::StopOutcome> FakeRuntime::stop(const plan::InstanceId& id,
                                               const proto::StopRule& rule,
                                               const std::stop_token&) {
  auto& instance = host_.instances.at(id);
  const bool stubborn = host_.stubborn.contains(instance.service.str());
  host_.stops.emplace_back(id, rule);
  instance.state = InstanceState::exited;
  instance.exit = plan::ExitInfo{stubborn ? 137 : 143, false, host_.clock.wall()};
  return stubborn ? runtime::StopOutcome::killed : runtime::StopOutcome::ended;
}

Status FakeRuntime::remove(const plan::InstanceId& id, const std::stop_token&) {
  host_.instances.erase(id);
  return ok();
}

Status FakeRuntime::freeze(const plan::InstanceId& id, const std::stop_token& spare) {
  if (host_.during_freeze) host_.during_freeze();
  if (spare.stop_requested()) return Error{Errc::cancelled, "spared"};
  host_.instances.at(id).state = InstanceState::frozen;
  return ok();
}

Status FakeRuntime::thaw(const plan::InstanceId& id) {
  host_.instances.at(id).state = InstanceState::running;
  return ok();
}

Status FakeRuntime::enforce(const plan::InstanceId& id) {
  std::erase_if(host_.instances.at(id).deviations, [](const auto& each) { return each.in_place; });
  return ok();
}

Status FakeRuntime::expel(const plan::InstanceId& id) {
  std::erase_if(host_.instances.at(id).deviations,
                [](const auto& each) { return each.kind == proto::DriftKind::foreign_process; });
  return ok();
}

Result<plan::RoutingTable> FakePublisher::observe() {
  if (!host_.routing) return Error{Errc::not_found, "the table is missing"};
  return *host_.routing;
}

std::set<plan::InstanceId> FakeHost::frozen() const {
  std::set<plan::InstanceId> ids;
  for (const auto& [id, instance] : instances) {
    if (instance.state == plan::InstanceState::frozen) ids.insert(id);
  }
  return ids;
}

Status FakePublisher::restore(const plan::RoutingTable& wanted) {
  ++host_.restores;
  if (host_.restore_error) return *host_.restore_error;
  if (!host_.routing) host_.routing.emplace();
  return apply(wanted);
}

Status FakePublisher::apply(const plan::RoutingTable& wanted) {
  if (!host_.routing) return Error{Errc::not_found, "the table is missing"};
  if (host_.on_route && wanted.ports != host_.routing.value_or(plan::RoutingTable{}).ports)
    host_.on_route();
  host_.routing = wanted;
  return ok();
}

Result<std::map<plan::Address, std::uint32_t>> FakePublisher::connections(
    const std::set<plan::Address>& instances) {
  std::map<plan::Address, std::uint32_t> open;
  for (const auto address : instances)
    open[address] = host_.cut.contains(address) ? 0 : host_.open_connections;
  return open;
}

Result<std::uint32_t> FakePublisher::cut(plan::Address instance, const std::stop_token& stop) {
  if (host_.during_cut) host_.during_cut();
  if (stop.stop_requested()) {
    ++host_.spared;
    return Error{Errc::cancelled, "spared"};
  }
  return host_.cut.insert(instance).second ? host_.open_connections : 0U;
}

Status FakePublisher::reserve(const std::set<plan::PortKey>& ports) {
  for (const auto& port : ports) {
    if (host_.taken_ports.contains(port) && !host_.reserved_ports.contains(port))
      return Error{Errc::port_in_use,
                   fmt::format("port {} is taken by another program", to_string(port))}
          .hint(fmt::format("ss -anp 'sport = :{}' names it: stop it, or publish another port",
                            port.port));
  }
  host_.reserved_ports = ports;
  return ok();
}

Agent::Agent(FakeHost& host, const std::filesystem::path& state_dir, std::uint32_t retain)
    : host_(host), images_(host), runtime_(host), publisher_(host) {
  auto opened = ledger::open_ledger(state_dir);
  EXPECT_TRUE(opened) << (opened ? "" : opened.error().to_string());
  ledger_ = std::move(opened).value();
  in_use_ = ledger_.get();
  begin(retain, Milliseconds{2'000}, state_dir);
}

Agent::Agent(FakeHost& host, ledger::Ledger& ledger, std::uint32_t retain, Milliseconds resync,
             const std::filesystem::path& run_dir)
    : host_(host), images_(host), runtime_(host), publisher_(host), in_use_(&ledger) {
  begin(retain, resync, run_dir);
}

void Agent::begin(std::uint32_t retain, Milliseconds resync, const std::filesystem::path& run_dir) {
  proto::AgentConfig config;
  config.run_dir = run_dir;
  config.retain = retain;
  config.resync = resync;
  config.standby = host_.standby;
  config.rehearse_every = host_.rehearse_every;
  engine::Options options{.config = config,
                          .boot_id = host_.boot_id,
                          .host_started = host_.started,
                          .housekeeping = {},
                          .last_words = host_.last_words,
                          .memory_signs = [this] { return host_.memory; },
                          .back_up = {},
                          .has_name_server = [this] { return host_.has_name_server; },
                          .host_gives = [this](const proto::Service& wanted) -> Status {
                            const auto found = host_.cannot_give.find(wanted.image.tag);
                            if (found == host_.cannot_give.end()) return ok();
                            return found->second;
                          },
                          .host_addresses = {},
                          .disk_space = [this]() -> Result<os::DiskSpace> {
                            if (host_.disk) return *host_.disk;
                            return Error{Errc::io, "not simulated"};
                          }};
  reader_.emplace(images_, options);
  core_ = std::make_unique<engine::Core>(
      engine::Ports{host_.clock, images_, runtime_, runtime_, publisher_, *in_use_},
      std::move(options), jobs_);
  const auto loaded = core_->load();
  EXPECT_TRUE(loaded) << (loaded ? "" : loaded.error().to_string());
}

void Agent::run(BootClock::duration span) {
  const auto end = host_.clock.boot() + span;
  while (host_.clock.boot() < end) {
    const auto due = core_->reconcile(engine::Freshness::remembered);
    if (jobs_.deliver()) continue;
    const auto now = host_.clock.boot();
    host_.clock.advance(std::max<BootClock::duration>(std::min(due, end) - now, Milliseconds{1}));
  }
  core_->reconcile(engine::Freshness::fresh);
}

deploy::engine::Candidate candidate(const std::string& document, const std::string& file) {
  return engine::read_candidate({document, file, "changed source", false, false});
}

Result<proto::api::Accepted> Agent::apply(const std::string& document, bool now) {
  return core_->commands().applies.apply(
      reader_->read({document, "deployment.yaml", "test", false, now}), kRoot,
      plan::Trigger::apply);
}

Result<proto::api::PlanReport> Agent::plan_rollback(std::uint64_t to) {
  auto& rollbacks = core_->commands().rollbacks;
  auto answer = std::make_shared<std::optional<Result<proto::api::PlanReport>>>();
  rollbacks.prepare(to, [&rollbacks, to, answer] {
    auto plan = rollbacks.plan({to, "test", true});
    *answer = plan ? Result<proto::api::PlanReport>{(*plan)()} : std::move(plan).error();
  });
  while (!*answer && jobs_.deliver()) continue;
  return *answer ? **answer : Error{Errc::busy, "its document is being read"};
}

Result<proto::api::Accepted> Agent::rollback(std::uint64_t to) {
  auto& rollbacks = core_->commands().rollbacks;
  // It may still be waiting when this returns.
  auto answer = std::make_shared<std::optional<Result<proto::api::Accepted>>>();
  rollbacks.prepare(to, [&rollbacks, to, answer] {
    *answer = rollbacks.rollback({to, "test", false}, kRoot);
  });
  while (!*answer && jobs_.deliver()) continue;
  return *answer ? **answer : Error{Errc::busy, "its document is being read"};
}

}  // namespace holdfast::test
