// What people and sources ask for. Everything is checked before anything is recorded.
#include <fmt/format.h>

#include <algorithm>

#include "common/log/log.hpp"
#include "deploy/engine/core.hpp"

namespace holdfast::deploy::engine {
namespace {

bool is_semver(const std::string& tag) {
  int dots = 0;
  bool digit = false;
  for (const char c : tag.substr(0, tag.find_first_of("-+"))) {
    if (c == '.') {
      if (!digit) return false;
      ++dots;
      digit = false;
    } else if (c >= '0' && c <= '9') {
      digit = true;
    } else {
      return false;
    }
  }
  return dots == 2 && digit;
}

}  // namespace

proto::Entry Core::entry(proto::EntryKind kind, const Actor& actor, std::string reason,
                         GenerationId id) const {
  proto::Entry made;
  made.kind = kind;
  made.time = ports_.clock.wall();
  made.actor = actor;
  made.reason = std::move(reason);
  made.generation = id.value();
  if (const auto* row = generation(id)) made.spec_digest = row->spec_digest;
  return made;
}

std::map<std::string, std::string> Core::images_of(GenerationId id) {
  std::map<std::string, std::string> images;
  if (const auto known = document(id)) {
    for (const auto& [name, service] : known->services) {
      const auto view = observed_.images.find(service.image.digest);
      const bool resolved = view != observed_.images.end() && view->second.manifest;
      images[name.str()] = resolved ? view->second.manifest->str() : service.image.digest.str();
    }
  }
  return images;
}

Result<proto::Deployment> Core::admit(const proto::api::ApplyRequest& request) {
  HF_ASSIGN(auto wanted, proto::load_deployment(
                             request.document, request.file.empty() ? "deployment" : request.file));
  if (const auto current = document(progress_.current); current && current->name != wanted.name) {
    return Error{Errc::conflict, fmt::format("this agent runs deployment \"{}\", not \"{}\"",
                                             current->name, wanted.name)}
        .hint(
            "one deployment per agent: keep the name, or give the other one an agent with its own "
            "`instance`");
  }
  HF_TRY(check_policy(wanted));
  HF_TRY(learn_zones(wanted));
  if (const auto row = quarantine_.find(wanted.spec_digest); row != quarantine_.end()) {
    const auto& why = row->second;
    return Error{Errc::quarantined, fmt::format("this document ({}) is quarantined by {}{}{}",
                                                wanted.spec_digest.short_hex(), why.actor,
                                                why.until ? " until " + to_rfc3339(*why.until) : "",
                                                why.reason.empty() ? "" : ": " + why.reason)}
        .hint(fmt::format("apply a changed document, or allow this one again: holdfast quarantine "
                          "release {}",
                          wanted.spec_digest.short_hex()));
  }
  return wanted;
}

Status Core::check_policy(const proto::Deployment& wanted) const {
  for (const auto& [key, value] : wanted.targets) {
    const auto label = options_.config.labels.find(key);
    if (label == options_.config.labels.end() || label->second != value)
      return Error{Errc::spec_target,
                   fmt::format("the document is for hosts with {}={}", key, value)}
          .hint("set the label in agent.yaml, or apply it elsewhere");
  }
  if (wanted.expires && *wanted.expires <= ports_.clock.wall())
    return Error{Errc::spec_expired, "the document expired at " + to_rfc3339(*wanted.expires)}.hint(
        "publish it again with a later `expires`");
  if (options_.config.image_policy.require_semver_tag) {
    for (const auto& [name, service] : proto::containers(wanted)) {
      if (!is_semver(service->image.tag))
        return Error{Errc::policy, fmt::format("{}: tag \"{}\" is not a version like 1.8.2, which "
                                               "this host's policy asks for",
                                               name.str(), service->image.tag)}
            .hint("name a version tag beside the digest");
    }
  }
  return ok();
}

Status Core::reserve_for(const proto::Deployment* next) {
  std::set<plan::PortKey> ports;
  for (const auto id :
       {progress_.current, progress_.rollout ? progress_.rollout->from : GenerationId{}}) {
    if (const auto known = document(id)) ports.merge(plan::published_ports(*known));
  }
  if (next != nullptr) ports.merge(plan::published_ports(*next));
  return ports_.publisher.reserve(ports);
}

/// What an apply means while another roll-out is under way; nothing when it is a change of its own.
std::optional<Result<proto::api::Accepted>> Core::apply_to_rollout(
    const proto::api::ApplyRequest& request, const proto::Deployment& wanted, const Actor& actor) {
  if (!progress_.rollout) return std::nullopt;
  const auto& rollout = *progress_.rollout;
  const auto* target = generation(rollout.target);
  if (target == nullptr || target->spec_digest != wanted.spec_digest) {
    if (plan::is_waiting(progress_)) return std::nullopt;
    return Error{Errc::busy, fmt::format("generation {} is being rolled out ({})",
                                         rollout.target.value(), plan::to_string(rollout.phase))}
        .hint("wait for it (`holdfast status --watch`) or go back (`holdfast rollback`)");
  }
  const proto::api::Accepted accepted{rollout.target.value(), wanted.spec_digest.str(), true,
                                      events_.last()};
  if (request.now && !rollout.now && !plan::has_begun(progress_)) {
    auto next = progress_;
    next.rollout->now = true;
    auto note = entry(proto::EntryKind::accepted, actor, request.reason, rollout.target);
    note.detail["now"] = "yes";
    ledger::Batch batch;
    batch.entries.push_back(std::move(note));
    batch.progress = plan::encode_progress(next);
    if (auto done = commit(std::move(batch)); !done) return std::move(done).error();
    progress_ = std::move(next);
    changed_ = true;
  }
  if (plan::is_waiting(progress_) && plan::waits_for(progress_, observed_)) announce_wait();
  return accepted;
}

Result<proto::api::Accepted> Core::apply(const proto::api::ApplyRequest& request,
                                         const Actor& actor, plan::Trigger trigger) {
  auto admitted = admit(request);
  if (!admitted) {
    count(admitted.error());
    if (admitted.error().code() == Errc::quarantined)
      (void)commit(
          {.entries = {entry(proto::EntryKind::refused, actor, admitted.error().what(), {})}});
    return std::move(admitted).error();
  }
  proto::Deployment& wanted = *admitted;
  proto::api::Accepted accepted{progress_.current.value(), wanted.spec_digest.str(), true,
                                events_.last()};
  if (auto answered = apply_to_rollout(request, wanted, actor)) return *std::move(answered);
  const auto* current = generation(plan::in_force(progress_));
  if (current != nullptr && current->spec_digest == wanted.spec_digest) {
    accepted.generation = current->id.value();
    accepted.changed = false;
    if (plan::is_waiting(progress_)) HF_TRY(withdraw_rollout(actor, "what runs was applied again"));
    HF_TRY(commit({.entries = {entry(proto::EntryKind::apply_unchanged, actor, request.reason,
                                     current->id)}}));
    return accepted;
  }
  if (auto reserved = reserve_for(&wanted); !reserved) {
    count(reserved.error());
    return std::move(reserved)
        .error()
        .in("publish the ports of " + wanted.name)
        .hint("free the port or publish another one");
  }
  retain_images(&wanted);
  const GenerationId id{generations_.empty() ? 1 : generations_.front().id.value() + 1};
  auto next = plan::begin_rollout(plan::withdraw(progress_), id, trigger, actor, request.reason,
                                  ports_.clock.boot());
  next.rollout->now = request.now;
  if (trigger != plan::Trigger::source) next.source.reset();
  auto note = entry(proto::EntryKind::accepted, actor, request.reason, {});
  note.generation = id.value();
  note.spec_digest = wanted.spec_digest;
  ledger::Batch batch;
  withdraw_into(batch, actor, fmt::format("by generation {} before it began", id.value()));
  if (request.now) note.detail["now"] = "yes";
  batch.entries.push_back(std::move(note));
  batch.generation = ledger::NewGeneration{id,    wanted.spec_digest, request.document,
                                           actor, request.reason,     ports_.clock.wall()};
  batch.progress = plan::encode_progress(next);
  HF_TRY(commit(std::move(batch)));
  documents_[id] = std::make_shared<const proto::Deployment>(std::move(wanted));
  begin_change(std::move(next));
  accepted.generation = id.value();
  return accepted;
}

/// What failed before says nothing of what is asked for now.
void Core::begin_change(plan::Progress next) {
  observed_.job_failures.clear();
  std::erase_if(observed_.images, [](const auto& row) {
    return row.second.state != plan::ImageView::State::pulling;
  });
  progress_ = std::move(next);
  changed_ = true;
}

Result<plan::GenerationId> Core::rollback_target(std::uint64_t wanted) {
  for (const auto& row : generations_) {
    if (wanted != 0 && row.id.value() != wanted) continue;
    const auto current = plan::in_force(progress_);
    if (wanted == 0 &&
        (row.id >= current || !row.ever_good || quarantine_.contains(row.spec_digest)))
      continue;
    if (!row.ever_good)
      return Error{Errc::not_found, fmt::format("generation {} was never good", wanted)}.hint(
          "`holdfast history` lists the good ones");
    if (row.id == current)
      return Error{Errc::conflict, fmt::format("generation {} is current already", wanted)};
    return row.id;
  }
  if (wanted != 0)
    return Error{Errc::not_found, fmt::format("there is no generation {}", wanted)}.hint(
        "`holdfast history` lists them");
  return Error{Errc::not_found, "there is no earlier good generation to go back to"}.hint(
      "apply another document instead");
}

Status Core::check_local(GenerationId id) {
  const auto known = document(id);
  if (!known)
    return Error{Errc::not_found,
                 fmt::format("the document of generation {} is not in the ledger", id.value())};
  for (const auto& [name, service] : known->services) {
    if (auto found = ports_.images.find(service.image.digest); !found)
      return std::move(found)
          .error()
          .in(fmt::format("generation {} is not ready: image of {}", id.value(), name.str()))
          .hint("apply its document again while the registry can be reached");
  }
  return ok();
}

/// A rollback of the roll-out under way: the next decisions turn it back.
Result<proto::api::Accepted> Core::turn_back(const proto::api::RollbackRequest& request,
                                             const Actor& actor) {
  const auto since = events_.last();
  if (progress_.rollout->from.value() == 0)
    return Error{Errc::not_found, "this is the first roll-out: there is nothing to go back to"}
        .hint("wait for it to end");
  if (progress_.rollout->phase != plan::Phase::reverting) {
    const auto next = plan::abandon_rollout(progress_, actor, request.reason, ports_.clock.boot());
    ledger::Batch batch;
    batch.entries.push_back(
        entry(proto::EntryKind::rollback_started, actor, request.reason, progress_.rollout->from));
    batch.progress = plan::encode_progress(next);
    if (!commit(batch)) go_unrecorded(next.rollout->from, actor, request.reason, std::move(batch));
    progress_ = next;
  }
  changed_ = true;
  return proto::api::Accepted{progress_.rollout->from.value(), {}, true, since};
}

Result<proto::api::Accepted> Core::rollback(const proto::api::RollbackRequest& request,
                                            const Actor& actor) {
  const auto since = events_.last();
  const bool waiting = plan::is_waiting(progress_);
  if (!waiting && progress_.rollout && progress_.rollout->trigger != plan::Trigger::rollback &&
      (request.to == 0 || request.to == progress_.rollout->from.value()))
    return turn_back(request, actor);
  if (progress_.rollout && !waiting)
    return Error{Errc::busy, fmt::format("generation {} is being rolled out",
                                         progress_.rollout->target.value())}
        .hint("wait for it (`holdfast status --watch`)");
  HF_ASSIGN(const auto target, rollback_target(request.to));
  HF_TRY(check_local(target));
  const auto known = document(target);
  HF_TRY(reserve_for(known.get()));
  const auto next = plan::begin_rollout(plan::withdraw(progress_), target, plan::Trigger::rollback,
                                        actor, request.reason, ports_.clock.boot());
  const auto digest = generation(target)->spec_digest;
  ledger::Batch batch;
  withdraw_into(batch, actor, "a rollback came before it began");
  rollback_into(batch, plan::in_force(progress_), target, actor, request.reason);
  batch.progress = plan::encode_progress(next);
  if (!commit(batch)) go_unrecorded(target, actor, request.reason, std::move(batch));
  // What was seen last is good enough to begin with; the host is looked at again after the first
  // step.
  progress_ = next;
  return proto::api::Accepted{target.value(), digest.str(), true, since};
}

/// What an operator's rollback records: the wish, and that what runs until now is quarantined.
void Core::rollback_into(ledger::Batch& batch, GenerationId from, GenerationId target,
                         const Actor& actor, const std::string& reason) {
  batch.entries.push_back(entry(proto::EntryKind::rollback_started, actor, reason, target));
  if (const auto* row = generation(from); row != nullptr && from != target) {
    ledger::Quarantine made{row->spec_digest,
                            actor,
                            reason,
                            ports_.clock.wall(),
                            {{"rolled_back_to", std::to_string(target.value())}},
                            {}};
    batch.quarantine.push_back(made);
    batch.entries.push_back(entry(proto::EntryKind::quarantined, actor, reason, row->id));
    put_quarantine(std::move(made));
  }
  const auto digest = generation(target)->spec_digest;
  if (quarantine_.contains(digest)) {
    batch.release.push_back(digest);
    batch.entries.push_back(
        entry(proto::EntryKind::released, actor, "chosen as rollback target", target));
    lift_quarantine(digest);
  }
}

Result<proto::api::PlanReport> Core::plan_apply(const proto::api::ApplyRequest& request) {
  HF_ASSIGN(const auto wanted, admit(request));
  proto::api::PlanReport report;
  const auto current = document(plan::in_force(progress_));
  report.from = plan::in_force(progress_).value();
  report.spec_digest = wanted.spec_digest.str();
  report.changes = !current || current->spec_digest != wanted.spec_digest;
  report.to = report.changes ? (generations_.empty() ? 1 : generations_.front().id.value() + 1)
                             : report.from;
  report.steps = plan::compare(current.get(), wanted, progress_.start_times);
  if (report.changes) {
    plan::add_hooks(wanted, proto::HookStage::before, report.hooks);
    plan::add_hooks(wanted, proto::HookStage::after, report.hooks);
  }
  for (const auto& [name, service] : proto::containers(wanted)) {
    if (!ports_.images.find(service->image.digest))
      report.images_to_pull.push_back(service->image.str());
  }
  std::sort(report.images_to_pull.begin(), report.images_to_pull.end());
  report.images_to_pull.erase(
      std::unique(report.images_to_pull.begin(), report.images_to_pull.end()),
      report.images_to_pull.end());
  if (plan::is_waiting(progress_)) {
    report.warnings.push_back(fmt::format("takes the place of generation {}, which waits",
                                          progress_.rollout->target.value()));
  } else if (progress_.rollout) {
    report.warnings.push_back(
        fmt::format("generation {} is being rolled out", progress_.rollout->target.value()));
  }
  if (report.changes) warn_of_waits(request, wanted, report.warnings);
  return report;
}

Result<proto::api::PlanReport> Core::plan_rollback(const proto::api::RollbackRequest& request) {
  HF_ASSIGN(const auto target, rollback_target(request.to));
  HF_TRY(check_local(target));
  const auto known = document(target);
  const auto current = document(plan::in_force(progress_));
  proto::api::PlanReport report;
  report.from = plan::in_force(progress_).value();
  report.to = target.value();
  report.spec_digest = known->spec_digest.str();
  report.changes = true;
  report.steps = plan::compare(current.get(), *known, progress_.start_times);
  if (current) plan::add_hooks(*current, proto::HookStage::on_rollback, report.hooks);
  if (current)
    report.warnings.push_back(
        fmt::format("the document of generation {} will be quarantined", report.from));
  return report;
}

void Core::source_changed(const std::string& document, const std::string& source) {
  figures_.source_last_success_timestamp =
      std::chrono::duration<double>(ports_.clock.wall().time_since_epoch()).count();
  const Actor actor = "source " + source;
  auto parsed = proto::load_deployment(document, source);
  if (parsed) {
    // Only a change of the source counts: what was last accepted from it is not applied again over
    // an operator's `apply`.
    const auto last = std::find_if(generations_.begin(), generations_.end(),
                                   [&](const auto& row) { return row.actor == actor; });
    offer(parsed->spec_digest, source);
    if (last != generations_.end() && last->spec_digest == parsed->spec_digest) return;
  }
  auto accepted =
      apply({document, source, "changed source", false, false}, actor, plan::Trigger::source);
  if (accepted) return;
  log::error("event=source_refused source={} error={}", log::field(source),
             log::field(accepted.error().to_string()));
  proto::api::Event event;
  event.time = to_rfc3339(ports_.clock.wall());
  event.kind = "refused";
  event.message = accepted.error().to_string();
  events_.publish(std::move(event));
}

void Core::reconfigure(proto::AgentConfig config) {
  options_.config.retain = config.retain;
  options_.config.resync = config.resync;
  options_.config.rehearse_every = config.rehearse_every;
  options_.config.standby = config.standby;
  options_.config.pull_jitter = config.pull_jitter;
  options_.config.drift = std::move(config.drift);
  options_.config.labels = std::move(config.labels);
  options_.config.image_policy = std::move(config.image_policy);
  changed_ = true;
}

}  // namespace holdfast::deploy::engine
