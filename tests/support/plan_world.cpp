#include "tests/support/plan_world.hpp"

#include <algorithm>

namespace holdfast::test {

using namespace deploy::plan;

namespace {
template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

const Settings kSettings{proto::Subnet{0x0A5A0000, 16}};
}  // namespace

std::shared_ptr<const proto::Deployment> make_deployment(
    const std::map<std::string, ServiceShape>& services) {
  auto made = std::make_shared<proto::Deployment>(
      proto::Deployment{.name = "shop", .spec_digest = proto::Digest::of("")});
  std::string text;
  for (const auto& [name, shape] : services) {
    const auto image = proto::Digest::of("image " + name + shape.version);
    proto::Service service{.image = {"registry.example.com", "shop/" + name, shape.version, image},
                           .run_hash = proto::Digest::of("run " + name + shape.version),
                           .policy_hash = proto::Digest::of("policy " + shape.policy)};
    if (shape.port != 0) service.publish.push_back({"", shape.port, 8080, proto::Transport::tcp});
    if (shape.probed)
      service.health = proto::HealthRule{.probe = proto::HttpProbe{8080, "/", {}, {}}};
    service.update.strategy = shape.replace ? proto::Strategy::replace : proto::Strategy::cutover;
    service.update.deadline = Milliseconds{20'000};
    service.update.soak = Milliseconds{5'000};
    service.update.standby = Milliseconds{20'000};
    for (const auto& dependency : shape.depends_on) service.depends_on.emplace_back(dependency);
    made->services.emplace(ServiceName{name}, std::move(service));
    text += name + shape.version + shape.policy + std::to_string(shape.port) +
            (shape.replace ? "r" : "c");
  }
  made->spec_digest = proto::Digest::of(text);
  return made;
}

proto::Hook make_hook(const std::string& name, Milliseconds deadline) {
  const auto image = proto::Digest::of("image " + name);
  return {.name = ServiceName{name},
          .deadline = deadline,
          .service = {.image = {"registry.example.com", "shop/" + name, "hook", image},
                      .restart = proto::Restart::never,
                      .run_hash = proto::Digest::of("run " + name),
                      .policy_hash = proto::Digest::of("")}};
}

void PlanWorld::restart_agent() {
  const auto text = encode_progress(progress);
  auto read = decode_progress(text, now);
  if (!read) violations.push_back("progress cannot be read: " + read.error().what());
  if (read) progress = std::move(read).value();
  // Jobs of the killed agent are lost; what they were creating is half there.
  for (const auto& job : jobs_) {
    const auto* create = std::get_if<Create>(&job.action);
    if (create == nullptr || random_() % 2 == 0) continue;
    complete(job.action);
    if (random_() % 2 == 0) observed.instances.at(create->id).seen.state = InstanceState::broken;
  }
  jobs_.clear();
  observed.busy.clear();
  observed.ending.clear();
  for (auto& [id, view] : observed.instances) view.health.in_flight = false;
  for (auto& [digest, image] : observed.images) {
    if (image.state == ImageView::State::pulling) image.state = ImageView::State::missing;
  }
}

void PlanWorld::apply(std::shared_ptr<const proto::Deployment> deployment) {
  const GenerationId id{generations.empty() ? 1 : generations.rbegin()->first.value() + 1};
  generations[id] = std::move(deployment);
  observed.job_failures.clear();
  progress = begin_rollout(progress, id, Trigger::apply, "test", "", now);
}

void PlanWorld::rollback_to(std::uint64_t generation) {
  progress = begin_rollout(progress, GenerationId{generation}, Trigger::rollback, "test", "", now);
}

void PlanWorld::refresh_documents() {
  observed.documents.clear();
  std::vector<GenerationId> used{progress.current};
  if (progress.rollout) used.push_back(progress.rollout->from);
  if (progress.rehearsal) used.push_back(progress.rehearsal->target);
  for (const auto& each : progress.post_rollback_hooks) used.push_back(each.generation);
  for (const auto id : used) {
    if (generations.contains(id)) observed.documents[id] = generations.at(id);
  }
}

std::string PlanWorld::version_of(const InstanceId& id) const {
  const auto found = versions_.find(id);
  return found == versions_.end() ? "" : found->second;
}

std::string PlanWorld::version_serving(const std::string& service) const {
  const auto found = progress.serving.find(ServiceName{service});
  return found == progress.serving.end() ? "" : version_of(found->second);
}

void PlanWorld::kill(const std::string& service, int code) {
  auto& view = observed.instances.at(progress.serving.at(ServiceName{service}));
  view.seen.state = InstanceState::exited;
  view.seen.exit = ExitInfo{code, false, {}};
  view.seen.pid = 0;
}

void PlanWorld::start(const Action& action) {
  const auto job = [&](const ServiceName& service, const InstanceId& id) {
    ++touched[id];
    if (!observed.busy.emplace(service, id).second) return;
    jobs_.push_back({now + Milliseconds{20 + random_() % 400}, service, action});
  };
  const auto end = [&](const InstanceId& id, Milliseconds takes) {
    ++touched[id];
    if (!observed.ending.insert(id).second) return;
    jobs_.push_back({now + takes + Milliseconds{20 + random_() % 400}, {}, action});
  };
  std::visit(Overloaded{
                 [&](const Pull& a) {
                   auto& view = observed.images[a.image.digest];
                   view.state = ImageView::State::pulling;
                   jobs_.push_back({now + Milliseconds{random_() % 2000}, {}, action});
                 },
                 [&](const Create& a) { job(a.service, a.id); },
                 [&](const RestartProcess& a) { job(a.service, a.id); },
                 [&](const Stop& a) {
                   stops.push_back(a);
                   end(a.id, stop_takes);
                 },
                 [&](const Remove& a) { end(a.id, Milliseconds{0}); },
                 [&](const Freeze& a) {
                   ++touched[a.id];
                   observed.instances.at(a.id).seen.state = InstanceState::frozen;
                 },
                 [&](const Thaw& a) {
                   ++touched[a.id];
                   observed.instances.at(a.id).seen.state = InstanceState::running;
                 },
                 [&](const ProbeNow& a) {
                   auto& health = observed.instances.at(a.id).health;
                   health.in_flight = true;
                   health.last_probe = now;
                   jobs_.push_back({now + Milliseconds{1 + random_() % 20}, {}, action});
                 },
                 [&](const Enforce&) {},
                 [&](const Expel& a) {
                   jobs_.push_back({now, a.service, action});
                 },
                 [&](const Route& a) { observed.routing = a.table; },
             },
             action);
}

void PlanWorld::complete(const Action& action) {
  std::visit(
      Overloaded{
          [&](const Pull& a) {
            observed.images[a.image.digest] = {
                ImageView::State::present, a.image.digest, {}, {}, {}, 0};
          },
          [&](const Create& a) {
            const auto wanted = wanted_container(*generations.at(a.generation), a.service).value();
            InstanceView view{.seen = {.id = a.id,
                                       .service = a.service,
                                       .generation = a.generation.value(),
                                       .run_hash = wanted.run_hash,
                                       .image = wanted.image.digest,
                                       .manifest = wanted.image.digest,
                                       .state = InstanceState::running,
                                       .pid = 100,
                                       .address = next_address_++,
                                       .started_boot = now,
                                       .starts = 1}};
            if (wanted.image.tag == "hook") hooks_started.push_back(a.service.str());
            view.health.starts = 1;
            versions_[a.id] = wanted.image.tag;
            observed.instances.insert_or_assign(a.id, view);
          },
          [&](const RestartProcess& a) {
            auto& seen = observed.instances.at(a.id).seen;
            seen.state = InstanceState::running;
            seen.exit.reset();
            seen.started_boot = now;
            ++seen.starts;
            observed.instances.at(a.id).health = Health{};
            observed.instances.at(a.id).health.starts = seen.starts;
          },
          [&](const Stop& a) {
            observed.ending.erase(a.id);
            if (!observed.instances.contains(a.id)) return;
            auto& seen = observed.instances.at(a.id).seen;
            seen.state = InstanceState::exited;
            seen.exit = ExitInfo{143, false, {}};
          },
          [&](const Remove& a) {
            observed.ending.erase(a.id);
            observed.instances.erase(a.id);
          },
          [&](const ProbeNow& a) {
            const auto found = observed.instances.find(a.id);
            if (found == observed.instances.end()) return;
            auto& view = found->second;
            view.health.in_flight = false;
            if (view.seen.state != InstanceState::running) return;
            const auto rule = *wanted_container(*generations.at(a.generation), a.service)->health;
            const bool well = !sick.contains(version_of(a.id));
            const auto age = std::chrono::duration_cast<Milliseconds>(now - view.seen.started_boot);
            const auto wanted = wanted_container(*generations.at(a.generation), a.service);
            view.health = advance(view.health, rule,
                                  {.success = well,
                                   .detail = well ? "200" : "500",
                                   .age = age,
                                   .watched = age,
                                   .grace = start_grace(*wanted, std::nullopt)});
          },
          [&](const auto&) {},
      },
      action);
}

void PlanWorld::finish_jobs() {
  for (std::size_t i = 0; i < jobs_.size();) {
    if (jobs_[i].done > now) {
      ++i;
      continue;
    }
    const auto job = jobs_[i];
    jobs_.erase(jobs_.begin() + static_cast<std::ptrdiff_t>(i));
    if (!job.service.empty()) observed.busy.erase(job.service);
    complete(job.action);
  }
  for (auto& [id, view] : observed.instances) {
    const auto hook = hook_codes.find(view.seen.service.str());
    const bool hook_ends = version_of(id) == "hook" && view.seen.state == InstanceState::running &&
                           now - view.seen.started_boot > Milliseconds{300} &&
                           (hook == hook_codes.end() || hook->second != kNeverEnds);
    if (hook_ends) {
      view.seen.state = InstanceState::exited;
      view.seen.exit = ExitInfo{hook == hook_codes.end() ? 0 : hook->second, false, {}};
    }
    const auto end = ends.find(version_of(id));
    const bool dies = (crashing.contains(version_of(id)) || end != ends.end()) &&
                      view.seen.state == InstanceState::running &&
                      now - view.seen.started_boot > Milliseconds{100};
    if (!dies) continue;
    view.seen.state = InstanceState::exited;
    view.seen.exit = ExitInfo{end == ends.end() ? 1 : end->second, false, {}};
  }
}

Decision PlanWorld::step() {
  finish_jobs();
  refresh_documents();
  auto decision = decide(progress, observed, kSettings, now);
  progress = decision.progress;
  for (const auto& each : decision.notes) notes.push_back(each);
  for (const auto& ending : decision.endings) endings.push_back(ending);
  if (decision.quarantine) quarantined.insert(*decision.quarantine);
  for (const auto& action : decision.actions) {
    start(action);
    check();
  }
  BootTime next = now + std::chrono::minutes{20};
  if (decision.wake_at) next = std::min(next, *decision.wake_at);
  for (const auto& job : jobs_) next = std::min(next, job.done);
  for (const auto& [id, view] : observed.instances) {
    // The end of a hook is an event too.
    const auto end = view.seen.started_boot + Milliseconds{301};
    if (version_of(id) == "hook" && view.seen.state == InstanceState::running && end > now)
      next = std::min(next, end);
  }
  const bool again =
      std::any_of(decision.actions.begin(), decision.actions.end(), [](const Action& a) {
        return std::holds_alternative<Route>(a) || std::holds_alternative<Thaw>(a) ||
               std::holds_alternative<Freeze>(a);
      });
  if (!again) now = std::max(now, next);
  return decision;
}

/// Whatever a published port points at must be a living process, unless its service is being
/// replaced or crashes by itself.
void PlanWorld::check_hooks() {
  std::map<std::string, int> running;
  for (const auto& [id, view] : observed.instances) {
    if (version_of(id) != "hook" || view.seen.state != InstanceState::running) continue;
    if (++running[view.seen.service.str()] > 1)
      violations.push_back("hook " + view.seen.service.str() + " runs twice at once");
  }
}

void PlanWorld::check() {
  check_hooks();
  if (!observed.routing) return;
  for (const auto& [key, endpoint] : observed.routing->ports) {
    for (const auto& [id, view] : observed.instances) {
      if (view.seen.address != endpoint.address) continue;
      const auto version = version_of(id);
      const bool excused =
          crashing.contains(version) || sick.contains(version) ||
          progress.restarting.contains(view.seen.service) ||
          (progress.rollout && progress.rollout->replaced.contains(view.seen.service));
      if (view.seen.state == InstanceState::running || excused) continue;
      violations.push_back("port " + to_string(key) + " points at " + id.str() + ", which is " +
                           std::string{to_string(view.seen.state)});
    }
  }
}

bool PlanWorld::settle(int limit) {
  for (int i = 0; i < limit; ++i) {
    const auto decision = step();
    const bool only_probes =
        std::all_of(decision.actions.begin(), decision.actions.end(),
                    [](const Action& a) { return std::holds_alternative<ProbeNow>(a); });
    const bool quiet = only_probes && !progress.rollout && !progress.rehearsal &&
                       progress.post_rollback_hooks.empty() && observed.busy.empty() &&
                       observed.ending.empty() && progress.retired.empty();
    const bool healthy =
        std::all_of(observed.instances.begin(), observed.instances.end(), [](const auto& row) {
          return row.second.health.state == HealthState::healthy ||
                 row.second.health.state == HealthState::none;
        });
    if (quiet && healthy && jobs_.empty()) return true;
  }
  return false;
}

}  // namespace holdfast::test
