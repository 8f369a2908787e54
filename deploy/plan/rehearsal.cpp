// A rehearsal: the rollback target runs beside what serves, unpublished and without writable
// volumes, until its health rules are satisfied. Any rollout or rollback cuts it off.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/text.hpp"
#include "deploy/plan/planner.hpp"
#include "deploy/plan/staging.hpp"

namespace holdfast::deploy::plan {
namespace {

constexpr std::string_view kSuffix = ".rehearsal";  // names of services have no dots

}  // namespace

ServiceName rehearsal_name(const ServiceName& service) {
  return ServiceName{service.str() + std::string{kSuffix}};
}

bool is_rehearsal(const ServiceName& name) { return name.str().ends_with(kSuffix); }

std::optional<proto::Service> as_rehearsed(const proto::Service& service, std::string* why_not) {
  if (service.network == proto::NetworkMode::host) {
    if (why_not != nullptr)
      *why_not = "it uses the network of the host, where the live one listens";
    return std::nullopt;
  }
  auto made = service;
  made.publish.clear();
  std::erase_if(made.volumes, [&](const proto::VolumeMount& volume) {
    if (!volume.read_only) made.tmpfs.push_back({volume.target, {}});
    return !volume.read_only;
  });
  return made;
}

std::optional<proto::Service> wanted_container(const proto::Deployment& deployment,
                                               const ServiceName& name) {
  if (is_rehearsal(name)) {
    const ServiceName service{name.str().substr(0, name.str().size() - kSuffix.size())};
    const auto found = deployment.services.find(service);
    return found == deployment.services.end() ? std::nullopt : as_rehearsed(found->second);
  }
  const auto* found = proto::container(deployment, name);
  return found == nullptr ? std::nullopt : std::optional{*found};
}

Progress begin_rehearsal(const Progress& progress, GenerationId target, std::string actor,
                         std::string reason, BootTime now) {
  Progress next = progress;
  next.rehearsal = Rehearsal{target, std::move(actor), std::move(reason), now, {}, {}};
  return next;
}

void Planner::step_rehearsal() {
  if (!state().rehearsal) return;
  auto& r = *state().rehearsal;
  using Kind = RehearsalVerdict::Kind;
  const bool begun = !r.instances.empty();
  if (r.target == effective_generation(state()))
    return end_rehearsal(Kind::interrupted,
                         fmt::format("generation {} is active now", r.target.value()));
  if ((state().rollout && !is_waiting(state())) || !state().post_rollback_hooks.empty()) {
    if (begun) end_rehearsal(Kind::interrupted, "a change of what runs came first");
    return;
  }
  const auto* known = document(r.target);
  if (known == nullptr) return end_rehearsal(Kind::failed, "its document is not in the ledger");
  if (!begun) {
    r.since = now_;
    note(proto::EntryKind::rehearsal_started, r.target, r.reason);
  }
  bool all = true;
  for (const auto& name : proto::dependency_order(*known)) {
    const auto wanted = as_rehearsed(known->services.at(name));
    if (!wanted || completed_at(state(), name, *wanted)) continue;
    const bool ready = rehearse_service(name, *wanted);
    if (!state().rehearsal) return;
    all = all && ready;
  }
  if (all) end_rehearsal(Kind::passed, "");
}

bool Planner::rehearsal_ready(const ServiceName& name, const proto::Service& wanted) const {
  const auto& r = *out_.progress.rehearsal;
  const auto id = r.instances.find(name);
  const auto* view = id == r.instances.end() ? nullptr : find(id->second);
  return view != nullptr && is_ready(*view, wanted, now_);
}

bool Planner::rehearse_service(const ServiceName& name, const proto::Service& wanted) {
  auto& r = *state().rehearsal;
  if (!r.instances.contains(name)) {
    if (needs_unrehearsed(wanted) || busy(rehearsal_name(name))) return false;
    r.instances[name] = allot(rehearsal_name(name), wanted);
    r.gate_since[name] = now_;
  }
  const auto* view = find(r.instances.at(name));
  if (view != nullptr && view->seen.state == InstanceState::exited && !view->seen.code_pending &&
      !has_completed(*view, wanted)) {
    const int code = view->seen.exit ? view->seen.exit->code : -1;
    const bool oom = view->seen.exit && view->seen.exit->oom;
    fail_rehearsal(
        name,
        oom ? "was killed for using too much memory" : fmt::format("exited with code {}", code),
        {{"exit_code", std::to_string(code)}});
    return false;
  }
  if (rehearsal_ready(name, wanted)) return true;
  const BootTime deadline = r.gate_since[name] + wanted.update.deadline;
  if (now_ >= deadline) {
    fail_rehearsal(
        name, fmt::format("was not healthy within {}: {}", human_duration(wanted.update.deadline),
                          view == nullptr ? "it was not created" : view->health.detail));
    return false;
  }
  wake(deadline);
  const bool runs = view != nullptr && view->seen.state == InstanceState::running;
  if (runs && !wanted.health) wake(view->seen.started_boot + kSettle);
  if (!runs && !busy(rehearsal_name(name))) make_rehearsed(name, view);
  return false;
}

/// Something that it depends on, and that is rehearsed too, is not ready yet.
bool Planner::needs_unrehearsed(const proto::Service& wanted) const {
  const auto* known = document(out_.progress.rehearsal->target);
  return std::any_of(wanted.depends_on.begin(), wanted.depends_on.end(),
                     [&](const ServiceName& dependency) {
                       const auto found = known->services.find(dependency);
                       return found != known->services.end() && as_rehearsed(found->second) &&
                              !completed_at(out_.progress, dependency, found->second) &&
                              !rehearsal_ready(dependency, found->second);
                     });
}

void Planner::make_rehearsed(const ServiceName& name, const InstanceView* view) {
  auto& r = *state().rehearsal;
  if (view != nullptr) {
    // Half there, since an agent was killed: it goes, and its name is allotted again.
    r.instances.erase(name);
    return wake(now_ + Milliseconds{100});
  }
  const auto busy_name = rehearsal_name(name);
  const auto job = observed_.job_failures.find(busy_name);
  if (job != observed_.job_failures.end()) {
    const auto& error = job->second.error;
    if (is_final(job->second))
      return fail_rehearsal(name, "cannot be started: " + error.what(),
                            {{"next", error.next_step()}});
    if (job->second.retry_at > now_) return wake(job->second.retry_at);
  }
  act(Create{r.instances.at(name), busy_name, r.target});
}

void Planner::fail_rehearsal(const ServiceName& name, const std::string& what,
                             std::map<std::string, std::string> detail) {
  detail.emplace("instance", state().rehearsal->instances.at(name).str());
  detail.emplace("service", name.str());
  end_rehearsal(RehearsalVerdict::Kind::failed, fmt::format("{} {}", name.str(), what),
                std::move(detail));
}

void Planner::end_rehearsal(RehearsalVerdict::Kind kind, std::string reason,
                            std::map<std::string, std::string> detail) {
  const auto& r = *state().rehearsal;
  RehearsalVerdict verdict{.generation = r.target,
                           .kind = kind,
                           .reason = std::move(reason),
                           .actor = r.actor,
                           .at = observed_.wall,
                           .took = std::chrono::duration_cast<Milliseconds>(now_ - r.since),
                           .remarks = {}};
  if (const auto* known = document(r.target)) {
    for (const auto& [name, service] : known->services) {
      std::string why_not;
      if (completed_at(state(), name, service)) why_not = "it has completed";
      if (!why_not.empty() || !as_rehearsed(service, &why_not))
        verdict.remarks.push_back(fmt::format("{}: not rehearsed: {}", name.str(), why_not));
    }
  }
  const auto service = detail.contains("service") ? detail.extract("service").mapped() : "";
  detail["verdict"] = std::string{to_string(kind)};
  detail["seconds"] = fmt::format("{:.3f}", std::chrono::duration<double>(verdict.took).count());
  note(proto::EntryKind::rehearsed, r.target, verdict.reason, std::move(detail), service);
  state().rehearsed = std::move(verdict);
  state().rehearsal.reset();
}

}  // namespace holdfast::deploy::plan
